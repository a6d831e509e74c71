"""Latin squares: fill a 5 x 5 grid so that every row and every column holds each of 1 to 5 once.

A prompt such as `1_3_________2_4_____5____:` gives some of the cells, row by row; a response is the whole grid, 25
digits and the end. Here nothing is computed and no path is searched: what counts is which digits the cells so far leave
open, and which choice among them leaves a digit for the cells to come. The fewer are given, the more grids are right.
"""

import random
import re
from collections.abc import Sequence
from functools import partial
from itertools import permutations

from htpo.errors import UserError
from htpo.tasks.puzzles.family import Puzzle, PuzzleVerifier, puzzle_task
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verdict

ORDER = 5
DIGITS = "12345"
CHARACTERS = DIGITS + "_:"
PROMPT = re.compile(r"([1-5_]{25}):")
RESPONSE = re.compile(r"[1-5]{25}")
ROWS = ["".join(row) for row in permutations(DIGITS)]


def rows_of(grid: str) -> list[str]:
    """The rows of a grid."""
    return [grid[start : start + ORDER] for start in range(0, len(grid), ORDER)]


def random_square(rng: random.Random) -> list[str]:
    """The rows of a Latin square, each drawn from those that the rows above allow (there always is one)."""
    square: list[str] = []
    allowed = ROWS
    while allowed:
        square.append(rng.choice(allowed))
        allowed = [row for row in allowed if all(a != b for a, b in zip(row, square[-1]))]
    return square


def random_row(clues: str, rng: random.Random) -> str:
    """A row that holds the digits given in it, the others in random order."""
    missing = [digit for digit in DIGITS if digit not in clues]
    rng.shuffle(missing)
    return "".join(missing.pop() if clue == "_" else clue for clue in clues)


def draw_puzzle(rng: random.Random, clues: tuple[int, int] = (6, 16)) -> Puzzle:
    """A row with `clues` cells given (fewest, most): `prompt`; `solution`; `decoy`, whose rows alone are right."""
    square = "".join(random_square(rng))
    given = set(rng.sample(range(len(square)), rng.randint(*clues)))
    cells = "".join(digit if cell in given else "_" for cell, digit in enumerate(square))
    decoy = "".join(random_row(row, rng) for row in rows_of(cells))
    return {"prompt": cells + ":", "solution": square, "decoy": decoy}


class LatinSquareVerifier(PuzzleVerifier):
    """Right when no row and no column holds a digit twice and the given cells are as given."""

    def judge_one(self, response: str, prompt: str) -> Verdict:
        """The verdict on one response; what it extracts is the grid."""
        puzzle, answer = PROMPT.fullmatch(prompt), RESPONSE.fullmatch(response)
        if puzzle is None:
            raise UserError(f"not a latin square prompt: {prompt!r}")
        if answer is None:
            return Verdict(False, failure="unparsable")
        rows = rows_of(response)
        lines: Sequence[Sequence[str]] = [*rows, *zip(*rows, strict=True)]
        complete = all(len(set(line)) == ORDER for line in lines)
        as_given = all(clue in ("_", cell) for clue, cell in zip(puzzle[1], response, strict=True))
        return Verdict(complete and as_given, response)


def latin_square_task(train_prompts: int, held_out_prompts: int, seed: int, clues: tuple[int, int] = (6, 16)) -> Task:
    """Latin squares with `clues` cells given (fewest, most); see `puzzle_task`."""
    draw = partial(draw_puzzle, clues=clues)
    return puzzle_task(
        "latin_square", "Latin squares", draw, LatinSquareVerifier(), train_prompts, held_out_prompts, seed
    )
