"""Countdown: combine all the numbers into the target.

A prompt such as `03 05 08>43:` gives three or four numbers, in ascending order, and a target; a response such as
`08*05=4040+03=43.` replaces two of the numbers by their sum, difference, product or exact quotient until only one, the
target, is left. So every number and every result but the last is used exactly once. A step has eight characters.
"""

import random
import re
from collections.abc import Sequence
from functools import partial

from htpo.errors import UserError
from htpo.tasks.puzzles.family import Puzzle, PuzzleVerifier, puzzle_task
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verdict

LARGEST_NUMBER = 12  # the given numbers are within 1..12
LARGEST = 60  # results are within 1..60
CHARACTERS = "0123456789+-*/=>:. "
PROMPT = re.compile(r"([0-9]{2}(?: [0-9]{2})+)>([0-9]{2}):")
STEP = re.compile(r"([0-9]{2})([+\-*/])([0-9]{2})=([0-9]{2})")
RESPONSE = re.compile(rf"(?:{STEP.pattern})+\.")

Step = tuple[int, str, int, int]


def apply_operator(left: int, operator: str, right: int) -> int | None:
    """The result of one step; None when it is no whole number within 1..60."""
    if operator == "/":
        result = left // right if right and left % right == 0 else 0
    else:
        result = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return result if 1 <= result <= LARGEST else None


def random_steps(numbers: Sequence[int], rng: random.Random) -> list[Step] | None:
    """Random steps that use all the numbers, the larger operand first; None when they get stuck."""
    left_over, steps = list(numbers), []
    while len(left_over) > 1:
        small, large = sorted(left_over.pop(rng.randrange(len(left_over))) for _ in range(2))
        operators = "+-*/" if small > 1 else "+-"  # times one and divided by one would change nothing
        results = ((operator, apply_operator(large, operator, small)) for operator in operators)
        ways = [(large, operator, small, result) for operator, result in results if result is not None]
        if not ways:
            return None
        steps.append(rng.choice(ways))
        left_over.append(steps[-1][3])
    return steps


def write_steps(steps: Sequence[Step]) -> str:
    """Steps as a response."""
    return "".join(f"{left:02d}{operator}{right:02d}={result:02d}" for left, operator, right, result in steps) + "."


def draw_puzzle(rng: random.Random, count: tuple[int, int] = (3, 4)) -> Puzzle:
    """A row of `count` numbers (fewest, most): `prompt`; `solution`; `decoy`, random steps with the same numbers."""
    while True:
        numbers = sorted(rng.randint(1, LARGEST_NUMBER) for _ in range(rng.randint(*count)))
        steps, decoy = (random_steps(numbers, rng) for _ in range(2))
        if steps and decoy:
            prompt = f"{' '.join(f'{number:02d}' for number in numbers)}>{steps[-1][3]:02d}:"
            return {"prompt": prompt, "solution": write_steps(steps), "decoy": write_steps(decoy)}


class CountdownVerifier(PuzzleVerifier):
    """Right when every step takes two numbers that are left and states their result, and only the target is left."""

    def judge_one(self, response: str, prompt: str) -> Verdict:
        """The verdict on one response; what it extracts is the last result stated, or the first that is wrong."""
        puzzle, answer = PROMPT.fullmatch(prompt), RESPONSE.fullmatch(response)
        if puzzle is None:
            raise UserError(f"not a countdown prompt: {prompt!r}")
        if answer is None:
            return Verdict(False, failure="unparsable")
        left_over = [int(number) for number in puzzle[1].split()]
        for left, operator, right, stated in STEP.findall(response):
            for operand in (int(left), int(right)):
                if operand not in left_over:
                    return Verdict(False, stated)
                left_over.remove(operand)
            if apply_operator(int(left), operator, int(right)) != int(stated):
                return Verdict(False, stated)
            left_over.append(int(stated))
        return Verdict(left_over == [int(puzzle[2])], stated)


def countdown_task(train_prompts: int, held_out_prompts: int, seed: int, count: tuple[int, int] = (3, 4)) -> Task:
    """Countdown puzzles of `count` numbers (fewest, most); see `puzzle_task`."""
    draw = partial(draw_puzzle, count=count)
    return puzzle_task(
        "countdown", "countdown puzzles", draw, CountdownVerifier(), train_prompts, held_out_prompts, seed
    )
