"""Make a base policy that ships with the package: a tiny Qwen3 that half-knows one family of puzzles.

    python scripts/make_base_policy.py [--task number_path] [--output htpo/assets/number_path] [--steps 1500]

It learns from demonstrations of training prompts only, of which a part are random attempts that miss the target. So
it writes well-formed responses and gets a quarter of the puzzles right: a base to be improved by reinforcement.
"""

import argparse
import random
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from tiny_policy import IGNORED, fit, save, tiny_qwen, word_tokenizer
from tokenizers import decoders, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from htpo.tasks.puzzles.family import Puzzle, is_held_out

BATCH = 64
SOLVED_SHARE = {"number_path": 0.5, "countdown": 0.95, "latin_square": 0.95}  # of the demonstrations


def make_tokenizer(characters: str) -> PreTrainedTokenizerFast:
    """A token per character."""
    return word_tokenizer(characters, pre_tokenizers.Split("", behavior="isolated"), decoders.Fuse())


def demonstrations(
    draw_puzzle: Callable[[random.Random], Puzzle],
    solved_share: float,
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a batch, and labels that leave out prompt and padding."""
    puzzles: list[tuple[str, str]] = []
    while len(puzzles) < BATCH:
        puzzle = draw_puzzle(rng)
        if not is_held_out(puzzle["prompt"]):
            puzzles.append((puzzle["prompt"], puzzle["solution" if rng.random() < solved_share else "decoy"]))
    texts = [prompt + response + tokenizer.eos_token for prompt, response in puzzles]
    ids = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")["input_ids"]
    position = torch.arange(ids.shape[1])
    prompt_length = torch.tensor([len(prompt) for prompt, _ in puzzles]).unsqueeze(1)
    learnt = (position >= prompt_length) & (ids != tokenizer.pad_token_id)
    return ids, ids.masked_fill(~learnt, IGNORED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=SOLVED_SHARE, default="number_path")
    parser.add_argument("--output", type=Path, help="default: htpo/assets/TASK")
    parser.add_argument("--solved_share", type=float, help="of the demonstrations; default: the task's")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    family = import_module(f"htpo.tasks.puzzles.{args.task}")
    output = args.output or Path("htpo/assets") / args.task
    solved_share = SOLVED_SHARE[args.task] if args.solved_share is None else args.solved_share
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    tokenizer = make_tokenizer(family.CHARACTERS)
    model = tiny_qwen(tokenizer, max_position_embeddings=128)
    fit(model, lambda: demonstrations(family.draw_puzzle, solved_share, tokenizer, rng), args.steps)
    save(model, tokenizer, output)


if __name__ == "__main__":
    main()
