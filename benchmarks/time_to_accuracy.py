"""Seconds and generated tokens to a held-out accuracy: TRL's DAPO loss, DAPO as published, and with fewer tokens.

    python benchmarks/time_to_accuracy.py --output DIR [--tasks number_path countdown] [--seeds 5] [--updates 320]
        [--arms trl dapo ours] [--every 16] [--train_prompts 1024] [--levels number_path=0.4]

The arms are TRL's own trainer with its `dapo` loss (clip-higher, token mean; no dynamic sampling), DAPO as published
(dynamic sampling, soft overlong punishment), and that with screening and the memory of prompts; `screening` and
`memory` are each alone. All train the built-in policy of a puzzle family on the same prompts at a constant learning
rate, 32 prompts x 8 samples -> 4 updates, and are measured on 128 held-out problems x 16 samples.

Generated tokens are counted in the reward function, so alike for all. Seconds are CPU seconds of the process without a
GPU, which other jobs on the machine disturb little, and else seconds of the clock; measurement is left out of both.

Every run is written to DIR as it ends, and not done again: the command goes on where it was stopped. At the end stand
in DIR `results.json`, `results.md` and `curves.png`. Intervals are 95 % over seeds.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, ProgressCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

import htpo
from htpo.engines.trl import HTPOConfig, HTPOTrainer
from htpo.evaluate import ModelGenerator, SamplingOptions, measure_pass_rates
from htpo.figures.drawing import caption, legend_beside, panels
from htpo.statistics.seeds import means_over_seeds
from htpo.tasks import Task
from htpo.tasks.puzzles.countdown import countdown_task
from htpo.tasks.puzzles.number_path import number_path_task
from htpo.tasks.task import Problems

TASKS = {"number_path": number_path_task, "countdown": countdown_task}
DAPO = {"objective": "dapo", "prompts_per_generation": 32, "updates_per_generation": 4}
SCREENING, MEMORY = {"screening_samples": 4}, {"settled_prompt_floor": 0.1}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "trl": (
        "TRL's DAPO loss",
        {
            "loss_type": "dapo",
            "epsilon": 0.2,
            "epsilon_high": 0.28,
            "generation_batch_size": 256,
            "gradient_accumulation_steps": 1,
        },
    ),
    "dapo": ("DAPO as published", DAPO),
    "screening": ("DAPO, screening", DAPO | SCREENING),
    "memory": ("DAPO, memory", DAPO | MEMORY),
    "ours": ("DAPO, screening and memory", DAPO | SCREENING | MEMORY),
}
BASE = "dapo"  # what ratios are to
SAME = {
    "per_device_train_batch_size": 64,
    "num_generations": 8,
    "max_completion_length": 32,
    "temperature": 1.0,
    "beta": 0.0,
    "max_grad_norm": 1.0,
    "lr_scheduler_type": "constant",
    "gradient_checkpointing": False,
    "bf16": False,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "logging_steps": 1,
}
PROBLEMS, SAMPLES = 128, 16
LEVELS = {"number_path": 0.4, "countdown": 0.35}
MEASURES = {"seconds": "seconds", "tokens": "generated tokens"}


class Meter(TrainerCallback):
    """Counts tokens and seconds of a training, and measures its policy every so many updates."""

    def __init__(self, task: Task, tokenizer: Any, every: int):
        self.task, self.tokenizer, self.every = task, tokenizer, every
        self.clock: Callable[[], float] = time.perf_counter if torch.cuda.is_available() else time.process_time
        self.tokens, self.apart = 0, 0.0  # `apart`: seconds that measuring took
        self.curve: list[dict[str, float]] = []

    def reward(
        self, prompts: list[str], completions: list[str], completion_ids: list[Any], **columns: Any
    ) -> list[float]:
        """1 for a right response, and the count of tokens."""
        self.tokens += sum(map(len, completion_ids))
        verdicts = self.task.verifier.judge(completions, [{"prompt": prompt} for prompt in prompts])
        return [float(verdict.correct) for verdict in verdicts]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started = self.clock()
        self._measure(0, args, kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.every == 0:
            self._measure(state.global_step, args, kwargs["model"])

    def _measure(self, update: int, args: Any, model: Any) -> None:
        start = self.clock()
        spent = start - self.started - self.apart
        sampling = SamplingOptions(temperature=1.0, top_p=1.0, max_tokens=args.max_completion_length, seed=0)
        problems = Problems(self.task.name, self.task.held_out, self.task.verifier, self.task.description)
        generator = ModelGenerator(model, self.tokenizer, sampling, batch_size=256)
        with torch.random.fork_rng():  # so that measuring changes no draw of the training
            rates = measure_pass_rates(problems, generator, SAMPLES)
        model.train()
        self.curve.append({"update": update, "seconds": spent, "tokens": self.tokens, "accuracy": rates.pass_at(1)})
        self.apart += self.clock() - start


def run(task_name: str, arm: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One training; returns its curve."""
    policy = str(Path(htpo.__file__).parent / "assets" / task_name)
    task = TASKS[task_name](train_prompts=args.train_prompts, held_out_prompts=PROBLEMS, seed=seed)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    meter = Meter(task, tokenizer, args.every)
    kind, config = (GRPOTrainer, GRPOConfig) if arm == "trl" else (HTPOTrainer, HTPOConfig)
    given = SAME | ARMS[arm][1] | {"max_steps": args.updates, "learning_rate": args.learning_rate, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        trainer = kind(
            AutoModelForCausalLM.from_pretrained(policy),
            meter.reward,
            config(output_dir=folder, use_cpu=not torch.cuda.is_available(), **given),
            train_dataset=task.train,
            processing_class=tokenizer,
            callbacks=[meter],
        )
        for shown in (ProgressCallback, PrinterCallback):
            trainer.remove_callback(shown)
        start = time.perf_counter()
        trainer.train()
    logs = [log for log in trainer.state.log_history if "loss" in log]
    sampling = {name: np.nanmean([log[name] for log in logs]) for name in logs[-1] if name.startswith("sampling/")}
    wall = time.perf_counter() - start
    return {"task": task_name, "arm": arm, "seed": seed, "curve": meter.curve, "wall": wall, "sampling": sampling}


def reached(curve: list[dict[str, float]], level: float, measure: str) -> float | None:
    """Where a curve first comes to a level, a straight line between measurements; None where it does not."""
    for before, after in pairwise(curve):
        if after["accuracy"] >= level:
            if before["accuracy"] >= level:
                return before[measure]
            share = (level - before["accuracy"]) / (after["accuracy"] - before["accuracy"])
            return before[measure] + share * (after[measure] - before[measure])
    return None


def ratio(values: list[float | None], base: list[float | None]) -> tuple[float, float, float] | None:
    """Geometric mean of the ratios, paired by seed, with its t interval; None where a seed lacks one."""
    if not values or None in values or None in base:
        return None
    logs = np.log(np.array(values) / np.array(base))
    reach = np.nan
    if len(logs) > 1:
        reach = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return tuple(np.exp([logs.mean(), logs.mean() - reach, logs.mean() + reach]).tolist())


def summarise(runs: list[dict[str, Any]], levels: dict[str, float]) -> list[dict[str, Any]]:
    """A row for each task and arm."""
    rows = []
    for task in dict.fromkeys(run["task"] for run in runs):
        of_task = [run for run in runs if run["task"] == task]
        for arm in [arm for arm in ARMS if any(run["arm"] == arm for run in of_task)]:
            mine = {run["seed"]: run["curve"] for run in of_task if run["arm"] == arm}
            base = {run["seed"]: run["curve"] for run in of_task if run["arm"] == BASE}
            ends = np.array([curve[-1]["accuracy"] for curve in mine.values()])
            row = {"task": task, "arm": arm, "level": levels[task], "seeds": len(mine), "end": float(ends.mean())}
            for measure in MEASURES:
                times = {seed: reached(curve, levels[task], measure) for seed, curve in mine.items()}
                both = [seed for seed in mine if seed in base]
                row["reached"] = sum(found is not None for found in times.values())
                row[measure] = times
                row[f"{measure}_ratio"] = ratio(
                    [times[seed] for seed in both], [reached(base[seed], levels[task], measure) for seed in both]
                )
            rows.append(row)
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table."""
    lines = [
        f"| task | arm | reached | seconds | tokens | seconds / {BASE} | tokens / {BASE} | accuracy at the end |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["task"], ARMS[row["arm"]][0], f"{row['level']:g} by {row['reached']} of {row['seeds']}"]
        for measure in MEASURES:
            known = [found for found in row[measure].values() if found is not None]
            cells.append(
                f"{np.exp(np.mean(np.log(known))):,.0f}" if len(known) == row["seeds"] else "not reached by all"
            )
        for measure in MEASURES:
            found = row[f"{measure}_ratio"]
            interval = "" if found is None or np.isnan(found[1]) else f" ({found[1]:.2f} to {found[2]:.2f})"
            cells.append("-" if found is None else f"{found[0]:.2f}{interval}")
        lines.append("| " + " | ".join([*cells, f"{row['end']:.3f}"]) + " |")
    return "\n".join(lines) + "\n"


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Held-out accuracy against seconds and tokens: means over seeds, with their intervals."""
    tasks = list(dict.fromkeys(run["task"] for run in runs))
    figure, grid = panels(2 * len(tasks), 2, "Held-out pass@1 during training")
    for place, axes in enumerate(grid):
        task, measure = tasks[place // 2], list(MEASURES)[place % 2]
        for arm, (name, _) in ARMS.items():
            curves = [run["curve"] for run in runs if (run["task"], run["arm"]) == (task, arm)]
            if not curves:
                continue
            end = min(curve[-1][measure] for curve in curves)
            where = np.linspace(0, end, 60)
            seeds = [
                np.interp(where, [point[measure] for point in curve], [point["accuracy"] for point in curve])
                for curve in curves
            ]
            mean, low, high = means_over_seeds(np.array(seeds))
            (line,) = axes.plot(where, mean, label=name)
            axes.fill_between(where, low, high, color=line.get_color(), alpha=0.15)
        axes.set_xlabel(MEASURES[measure])
        axes.set_ylabel(f"pass@1, {task}")
    legend_beside(figure, *grid)
    seeds = len({run["seed"] for run in runs})
    caption(
        figure, f"{PROBLEMS} held-out problems x {SAMPLES} samples; means over {seeds} seeds, bands: 95 % intervals."
    )
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["trl", "dapo", "ours"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=320)
    parser.add_argument("--every", type=int, default=16, help="updates between two measurements")
    parser.add_argument("--train_prompts", type=int, default=1024)
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    parser.add_argument("--levels", nargs="*", default=[], help="held-out accuracy to come to, TASK=NUMBER")
    args = parser.parse_args()
    levels = LEVELS | {name: float(value) for name, value in (each.split("=") for each in args.levels)}
    given = {name: getattr(args, name) for name in ("updates", "every", "train_prompts", "learning_rate")}
    args.output.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed in range(args.seeds):  # seed by seed, so that a part is a whole comparison of fewer seeds
        for task in args.tasks:
            for arm in args.arms:
                stored = args.output / f"{task}-{arm}-{seed}.json"
                done = json.loads(stored.read_text("utf-8")) if stored.is_file() else None
                if done is None or done["options"] != given:
                    done = run(task, arm, seed, args) | {"options": given}
                    stored.write_text(json.dumps(done), "utf-8")
                runs.append(done)
                last = done["curve"][-1]
                print(
                    f"{task} {arm} seed {seed}: {last['accuracy']:.3f} after {last['tokens']:,.0f} tokens, "
                    f"{last['seconds']:.0f} s ({done['wall']:.0f} s of the clock with measuring)",
                    flush=True,
                )
    rows = summarise(runs, levels)
    (args.output / "results.json").write_text(
        json.dumps({"options": given, "rows": rows, "runs": runs}, indent=1), "utf-8"
    )
    (args.output / "results.md").write_text(as_markdown(rows), "utf-8")
    draw(runs, args.output / "curves.png")
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
