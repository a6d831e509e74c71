"""How far the policies in training and in sampling disagree on the groups of a batch's tokens, and what each costs.

    python benchmarks/entropy_of.py [--generations 40] [--learning_rate 4e-4] [--timed 12]

HTPO on number paths as in the quickstart, 32 prompts x 8 samples -> 4 updates, trained by `entropy_of: current`. At
every update each token is put into a group by both entropies. By the update's place in its batch are shown: the share
of tokens whose group differs; of the tokens that are high by the sampling policy's entropy, the share that is low by
the current one's; the share of all tokens that only one of the two detaches. In a batch's first update both policies
are the same. Then the CPU time of a batch's updates 2 to 4, which sample nothing, in micro-batches of 16 responses.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, ProgressCallback

import htpo
from htpo.cli.train import read_recipe
from htpo.engines.trl import HTPOConfig, HTPOTrainer
from htpo.engines.trl.sampling_entropy import OLD_ENTROPY
from htpo.tasks.puzzles.number_path import NumberPathVerifier, number_path_task

POLICY = Path(htpo.__file__).parent / "assets" / "number_path"
UPDATES = 4


class Comparing(HTPOTrainer):
    """Trains by the current policy's entropy, and counts what the sampling policy's would have said."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.counts: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        super().__init__(*args, **kwargs)

    def _apply_objective(self, inputs: dict[str, Any], log_prob: Any, entropy: Any) -> Any:
        old = inputs.pop(OLD_ENTROPY)
        by_old_cuts, inputs["cuts"] = inputs["cuts"], None
        batch, outcome = super()._apply_objective(inputs, log_prob, entropy)
        by_old = self.objective.partition(replace(batch, entropy=old), by_old_cuts)
        high, high_by_old = (outcome.group % 2 == 0) & batch.mask, (by_old.group % 2 == 0) & batch.mask
        counts = self.counts[self._step // self.args.gradient_accumulation_steps % UPDATES]
        counts["tokens"] += batch.mask.sum().item()
        counts["other group"] += (outcome.group != by_old.group).sum().item()
        counts["high"] += high_by_old.sum().item()
        counts["high, now low"] += (high_by_old & ~high).sum().item()
        counts["detached by one"] += (outcome.detached != by_old.detached).sum().item()
        return batch, outcome


class Timed(HTPOTrainer):
    """Measures the CPU seconds of each update that samples nothing."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.spent: list[float] = []
        super().__init__(*args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        width = self.args.gradient_accumulation_steps
        start = time.process_time()
        result = super().training_step(*args, **kwargs)
        place = self._step - 1
        if place // width % UPDATES:
            if place % width == 0:
                self.spent.append(0.0)
            self.spent[-1] += time.process_time() - start
        return result


def right(prompts: list[str], completions: list[str], **columns: object) -> list[float]:
    """The puzzle's verifier as a reward function."""
    verdicts = NumberPathVerifier().judge(completions, [{"prompt": prompt} for prompt in prompts])
    return [float(verdict.correct) for verdict in verdicts]


def train(kind: type[HTPOTrainer], generations: int, **options: Any) -> Any:
    """A trainer of the kind, after some generations."""
    names = {"learning_rate", "warmup_steps", "temperature", "max_grad_norm", "beta", "max_completion_length"}
    names |= {"num_generations", "prompts_per_generation", "updates_per_generation", "per_device_train_batch_size"}
    recipe = {name: value for name, value in read_recipe("quickstart").items() if name in names}
    given = (
        recipe | {"max_steps": generations * UPDATES, "save_strategy": "no", "report_to": "none", "seed": 0} | options
    )
    with tempfile.TemporaryDirectory() as folder:
        args = HTPOConfig(output_dir=folder, use_cpu=True, bf16=False, gradient_checkpointing=False, **given)
        task = number_path_task(train_prompts=4096, held_out_prompts=1, seed=0)
        host = kind(str(POLICY), right, args, train_dataset=task.train)
        for shown in (ProgressCallback, PrinterCallback):
            host.remove_callback(shown)
        host.train()
    return host


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generations", type=int, default=40)
    parser.add_argument("--learning_rate", type=float, default=4e-4)
    parser.add_argument("--timed", type=int, default=12, help="generations of each timed run")
    args = parser.parse_args()
    print("| scope | update of its batch | other group | high, now low | detached by one |\n|---|---|---|---|---|")
    for scope in ("response", "batch"):
        options = {"objective_options": {"entropy_scope": scope}, "learning_rate": args.learning_rate}
        counts = train(Comparing, args.generations, entropy_of="old", **options).counts
        for place, found in sorted(counts.items()):
            shares = [found["other group"] / found["tokens"], found["high, now low"] / found["high"]]
            shares.append(found["detached by one"] / found["tokens"])
            print(f"| {scope} | {place + 1} | {' | '.join(f'{share:.2%}' for share in shares)} |", flush=True)
    print("\n| scope | entropy_of | CPU ms per update, median |")
    print("|---|---|---|")
    for scope in ("response", "batch"):
        for entropy_of in ("current", "old"):
            options = {"objective_options": {"entropy_scope": scope}, "per_device_train_batch_size": 16}
            spent = train(Timed, args.timed, entropy_of=entropy_of, **options).spent
            print(f"| {scope} | {entropy_of} | {1e3 * statistics.median(spent):.0f} |")


if __name__ == "__main__":
    main()
