"""What the built-in puzzle families share: which prompts are held out, drawing distinct ones, and judging row by row.

A family is a module of this room, named as in `--dataset NAME`, with

- `CHARACTERS`: everything its prompts and responses are written with, a token each for the base policy it ships with;
- `draw_puzzle(rng, ...)`: a row with `prompt`, `solution` (a right response) and `decoy` (a well-formed random one);
- `NAME_task(train_prompts, held_out_prompts, seed, ...)`: the task.

What else `draw_puzzle` takes is the family's difficulty; its default mixes easy and hard prompts, and keeps responses
short enough for the quickstart recipe (26 tokens with the end; from there on soft overlong punishment sets in).
"""

import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verdict, Verifier

HELD_OUT_SHARE = 10  # one prompt of so many is held out, by a hash of its text, whatever the seed
FRUITLESS_DRAWS = 10_000  # in a row, before a family counts as exhausted

Puzzle = dict[str, Any]  # `prompt`, `solution`, `decoy`, and what its verifier reads beside the prompt


def is_held_out(prompt: str) -> bool:
    """Whether a prompt is never trained on."""
    return zlib.crc32(prompt.encode()) % HELD_OUT_SHARE == 0


class PuzzleVerifier:
    """Judges each response on its own, against the prompt it answers; a family says how in `judge_one`."""

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response; the puzzle is read from the row's `prompt`."""
        return [self.judge_one(response, row["prompt"]) for response, row in zip(responses, rows, strict=True)]

    def judge_one(self, response: str, prompt: str) -> Verdict:
        """The verdict on one response.

        Raises:
            UserError: the prompt is none of this family.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to release."""


def puzzle_task(
    name: str,
    plural: str,
    draw: Callable[[random.Random], Puzzle],
    verifier: Verifier,
    train_prompts: int,
    held_out_prompts: int,
    seed: int,
) -> Task:
    """Distinct puzzles drawn with a seed; which prompts may be trained on does not depend on it.

    Args:
        name: of the family.
        plural: what its puzzles are called in the description.
        draw: makes one puzzle.
        verifier: judges responses.
        train_prompts, held_out_prompts: how many of each.
        seed: of the draw.

    Raises:
        UserError: `train_prompts` is not positive or `held_out_prompts` negative, or there are not so many puzzles.
    """
    if train_prompts < 1 or held_out_prompts < 0:
        raise UserError(f"train_prompts={train_prompts} must be at least 1, held_out_prompts={held_out_prompts} 0")
    rng = random.Random(seed)
    wanted = {False: train_prompts, True: held_out_prompts}
    puzzles: dict[bool, dict[str, Puzzle]] = {False: {}, True: {}}
    fruitless = 0
    while any(len(puzzles[part]) < wanted[part] for part in wanted):
        puzzle = draw(rng)
        prompt = puzzle["prompt"]
        part = is_held_out(prompt)
        fruitless += 1
        if len(puzzles[part]) < wanted[part] and prompt not in puzzles[part]:
            puzzles[part][prompt] = puzzle
            fruitless = 0
        if fruitless == FRUITLESS_DRAWS:
            raise UserError(
                f"there are hardly more {plural} of this difficulty than {len(puzzles[False])} to train on and "
                f"{len(puzzles[True])} held out: lower train_prompts={train_prompts} or "
                f"held_out_prompts={held_out_prompts}"
            )
    train, held_out = (
        [{column: text for column, text in puzzle.items() if column != "decoy"} for puzzle in puzzles[part].values()]
        for part in (False, True)
    )
    return Task(
        name=name,
        train=Dataset.from_list(train),
        held_out=Dataset.from_list(held_out) if held_out else None,
        verifier=verifier,
        description=f"{plural}: {len(train)} puzzles to train on, {len(held_out)} others held out (seed {seed})",
    )
