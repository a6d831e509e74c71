"""HTPO's table with an axis and a rule of one's own, in a TRL script: `python examples/trl_custom_rule.py`.

The policy that ships with the package trains for a few updates on built-in puzzles. The axis splits every cell of the
table; forking tokens of wrong answers to hard prompts get the new rule where they were unlikely. All else is HTPO's.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PrinterCallback

import htpo
from htpo.engines.trl import HTPOConfig, HTPOTrainer
from htpo.objectives import TokenBatch
from htpo.objectives.axes import Cuts, register_axis
from htpo.objectives.rules import Ratio, Terms, register_rule
from htpo.runs import ObjectiveTable
from htpo.tasks.puzzles.number_path import NumberPathVerifier, number_path_task

POLICY = Path(htpo.__file__).parent / "assets" / "number_path"


@register_axis("unlikely")
@dataclass(frozen=True)
class Unlikely:
    """Unlikely where the policy that sampled the token gave it less than `probability`."""

    probability: float = 0.5
    levels = ("likely", "unlikely")

    def level(self, batch: TokenBatch, cuts: Cuts) -> torch.Tensor:
        return (batch.old_log_prob.exp() < self.probability).to(torch.int8)


@register_rule
def scaled(ratio: Ratio, *, share: float = 0.5) -> Terms:
    """`share` of r A, without a clip: the coefficient c of J = c A, the weight w of the gradient w A grad log pi."""
    return share * ratio.value, share * ratio.slope


def correct(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    verdicts = NumberPathVerifier().judge(completions, [{"prompt": prompt} for prompt in prompts])
    return [float(verdict.correct) for verdict in verdicts]


def main(updates: int = 8) -> HTPOTrainer:
    """Train for some updates and print what the groups of the table were."""
    task = number_path_task(train_prompts=256, held_out_prompts=1, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = HTPOTrainer(
            model=str(POLICY),
            reward_funcs=correct,
            args=HTPOConfig(
                output_dir=folder,
                objective="htpo",
                objective_options={
                    "axes": ["difficulty", "correctness", "entropy", {"unlikely": {"probability": 0.6}}],
                    "cells": {"hard wrong high unlikely": {"rule": "scaled", "share": 0.25}},
                },
                prompts_per_generation=16,
                num_generations=8,
                updates_per_generation=2,
                max_completion_length=32,
                max_steps=updates,
                learning_rate=2e-4,
                save_strategy="no",
                report_to="none",
                use_cpu=True,
                bf16=False,
                logging_steps=1,
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in task.train]),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    table = ObjectiveTable.from_json(trainer.objective.describe())
    *_, last, _ = trainer.state.log_history  # then the summary of all updates
    print(
        f"update {last['step']}: accuracy {last['accuracy']:.2f}, entropy {last['entropy']:.2f} nats; tokens by group:"
    )
    for group, line in zip(table.groups, table.lines, strict=True):
        print(f"  {last[f'group/{group.name}/token_share']:5.1%}  {line}")
    return trainer


if __name__ == "__main__":
    main()
