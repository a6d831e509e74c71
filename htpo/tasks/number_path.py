"""Number paths: generated puzzles with an exact verifier, small enough for a policy of 160 thousand parameters.

A prompt such as `+3-5*2 09>21:` gives three moves, a start and a target; a response such as `*2=18+3=21.` applies moves
one after the other, states the value after each, and stops on the target. Which moves, and in which order, is a real
choice; the arithmetic in between is not: about one token in five is a fork, as in chains of thought.
"""

import random
import re
import zlib
from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.task import Task, Verdict

LARGEST = 60  # values stay within 0..LARGEST
HELD_OUT_SHARE = 10  # one prompt of so many is held out, by a hash of its text, whatever the seed
CHARACTERS = "0123456789+-*=>:. "
MOVE = r"([+\-*])(\d)"
PROMPT = re.compile(rf"({MOVE}{MOVE}{MOVE}) (\d\d)>(\d\d):")
STEP = re.compile(rf"{MOVE}=(\d\d)")
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
        ways = [(move, apply_move(value, move)) for move in moves]
        ways = [(move, result) for move, result in ways if result is not None and result not in visited]
        if not ways:
            return None
        walk.append(rng.choice(ways))
        visited.add(walk[-1][1])
    return walk


def write_walk(walk: Sequence[tuple[Move, int]]) -> str:
    """A walk as a response."""
    return "".join(f"{operator}{amount}={value:02d}" for (operator, amount), value in walk) + "."


def draw_puzzle(rng: random.Random) -> dict[str, str]:
    """A row: `prompt`; `solution`, a walk of two to four moves to the target; `decoy`, a random one as long."""
    while True:
        moves = _draw_moves(rng)
        start, steps = rng.randint(1, 30), rng.randint(2, 4)
        walk, decoy = (random_walk(moves, start, steps, rng) for _ in range(2))
        if walk and decoy:
            listed = "".join(f"{operator}{amount}" for operator, amount in moves)
            prompt = f"{listed} {start:02d}>{walk[-1][1]:02d}:"
            return {"prompt": prompt, "solution": write_walk(walk), "decoy": write_walk(decoy)}


def _draw_moves(rng: random.Random) -> list[Move]:
    return [("+", rng.randint(1, 9)), ("-", rng.randint(1, 9)), ("*", rng.randint(2, 3))]


def is_held_out(prompt: str) -> bool:
    """Whether a prompt is never trained on."""
    return zlib.crc32(prompt.encode()) % HELD_OUT_SHARE == 0


class NumberPathVerifier:
    """Right when every step uses one of the prompt's moves, states its value and the last one is the target."""

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response; the prompt is read from the row's `prompt`."""
        return [self._judge(response, row["prompt"]) for response, row in zip(responses, rows, strict=True)]

    def close(self) -> None:
        """Nothing to release."""

    def _judge(self, response: str, prompt: str) -> Verdict:
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


def number_path_task(train_prompts: int, held_out_prompts: int, seed: int) -> Task:
    """Distinct puzzles drawn with a seed; which prompts may be trained on does not depend on it.

    Raises:
        UserError: `train_prompts` is not positive or `held_out_prompts` negative.
    """
    if train_prompts < 1 or held_out_prompts < 0:
        raise UserError(f"train_prompts={train_prompts} must be at least 1, held_out_prompts={held_out_prompts} 0")
    rng = random.Random(seed)
    wanted = {False: train_prompts, True: held_out_prompts}
    puzzles: dict[bool, dict[str, dict[str, str]]] = {False: {}, True: {}}
    while any(len(puzzles[part]) < wanted[part] for part in wanted):
        puzzle = draw_puzzle(rng)
        part = is_held_out(puzzle["prompt"])
        if len(puzzles[part]) < wanted[part]:
            puzzles[part].setdefault(puzzle["prompt"], puzzle)
    train, held_out = (
        [{name: puzzle[name] for name in ("prompt", "solution")} for puzzle in puzzles[part].values()]
        for part in (False, True)
    )
    return Task(
        name="number_path",
        train=Dataset.from_list(train),
        held_out=Dataset.from_list(held_out) if held_out else None,
        verifier=NumberPathVerifier(),
        description=f"number paths: {len(train)} puzzles to train on, {len(held_out)} others held out (seed {seed})",
    )
