"""Number paths: generated puzzles with an exact verifier, small enough for a policy of 160 thousand parameters.

A prompt such as `+3-5*2 09>21:` gives three moves, a start and a target; a response such as `*2=18+3=21.` applies moves
one after the other, states the value after each, and stops on the target. Which moves, and in which order, is a real
choice; the arithmetic in between is not: about one token in five is a fork, as in chains of thought.
"""

import random
import re
from collections.abc import Sequence
from functools import partial

from htpo.errors import UserError
from htpo.tasks.puzzles.family import Puzzle, PuzzleVerifier, puzzle_task
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verdict

LARGEST = 60  # values stay within 0..LARGEST
CHARACTERS = "0123456789+-*=>:. "
MOVE = r"([+\-*])([0-9])"
PROMPT = re.compile(rf"({MOVE}{MOVE}{MOVE}) ([0-9]{{2}})>([0-9]{{2}}):")
STEP = re.compile(rf"{MOVE}=([0-9]{{2}})")
RESPONSE = re.compile(rf"((?:{STEP.pattern})+)\.")

Move = tuple[str, int]


def apply_move(value: int, move: Move) -> int | None:
    """The value after a move; None when it leaves 0..60."""
    operator, amount = move
    result = {"+": value + amount, "-": value - amount, "*": value * amount}[operator]
    return result if 0 <= result <= LARGEST else None


def random_walk(moves: Sequence[Move], start: int, steps: int, rng: random.Random) -> list[tuple[Move, int]] | None:
    """A walk of `steps` random moves that visits no value twice; None when it gets stuck."""
    walk: list[tuple[Move, int]] = []
    visited = {start}
    for _ in range(steps):
        value = walk[-1][1] if walk else start
        results = ((move, apply_move(value, move)) for move in moves)
        ways = [(move, result) for move, result in results if result is not None and result not in visited]
        if not ways:
            return None
        walk.append(rng.choice(ways))
        visited.add(walk[-1][1])
    return walk


def write_walk(walk: Sequence[tuple[Move, int]]) -> str:
    """A walk as a response."""
    return "".join(f"{operator}{amount}={value:02d}" for (operator, amount), value in walk) + "."


def draw_puzzle(rng: random.Random, steps: tuple[int, int] = (2, 4)) -> Puzzle:
    """A row: `prompt`; `solution`, a walk to the target of `steps` moves (fewest, most); `decoy`, a random one."""
    while True:
        moves = _draw_moves(rng)
        start, length = rng.randint(1, 30), rng.randint(*steps)
        walk, decoy = (random_walk(moves, start, length, rng) for _ in range(2))
        if walk and decoy:
            listed = "".join(f"{operator}{amount}" for operator, amount in moves)
            prompt = f"{listed} {start:02d}>{walk[-1][1]:02d}:"
            return {"prompt": prompt, "solution": write_walk(walk), "decoy": write_walk(decoy)}


def _draw_moves(rng: random.Random) -> list[Move]:
    return [("+", rng.randint(1, 9)), ("-", rng.randint(1, 9)), ("*", rng.randint(2, 3))]


class NumberPathVerifier(PuzzleVerifier):
    """Right when every step uses one of the prompt's moves, states its value and the last one is the target."""

    def judge_one(self, response: str, prompt: str) -> Verdict:
        """The verdict on one response; what it extracts is the last value reached or misstated."""
        puzzle, answer = PROMPT.fullmatch(prompt), RESPONSE.fullmatch(response)
        if puzzle is None:
            raise UserError(f"not a number path prompt: {prompt!r}")
        if answer is None:
            return Verdict(False, failure="unparsable")
        moves = set(re.findall(MOVE, puzzle[1]))
        value, target = int(puzzle[8]), int(puzzle[9])
        for operator, amount, stated in STEP.findall(answer[1]):
            result = apply_move(value, (operator, int(amount)))
            if (operator, amount) not in moves or result != int(stated):
                return Verdict(False, stated)
            value = result
        return Verdict(value == target, f"{value:02d}")


def number_path_task(train_prompts: int, held_out_prompts: int, seed: int, steps: tuple[int, int] = (2, 4)) -> Task:
    """Number paths of `steps` moves (fewest, most); see `puzzle_task`."""
    draw = partial(draw_puzzle, steps=steps)
    return puzzle_task("number_path", "number paths", draw, NumberPathVerifier(), train_prompts, held_out_prompts, seed)
