"""On a GPU: the objective beside DAPO's token loss, and an update of a 0.6 billion parameter model beside TRL's own.

    python benchmarks/gpu.py [--output FILE.json]

Nothing is downloaded: the model has Qwen3-0.6B's shape and random bf16 weights, responses are random tokens. Minutes on
one GPU. `--device cpu --tiny` runs all of it in seconds, and measures nothing.

The objective: forward and backward of 16 and 64 responses of 20,480 tokens, eager and compiled; milliseconds, the ratio
to the bare loss, peak memory beyond the inputs, and how often the host waits for the GPU. Updates: TRL's GRPO trainer
with its DAPO loss, and ours, at 4,096 and 16,384 tokens a response, at a learning rate of 0. Prompts are given their
responses, so that none is sampled; what is timed is scoring by the sampling policy, forward, backward and the step.
The objective's forward pass is given as a share of that. Contenders take turns, in an order that goes round.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from objective_cost import bare_dapo, make_batch, ours, peak_bytes, seconds, step
from transformers import AutoTokenizer, PrinterCallback, Qwen3Config, Qwen3ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

import htpo
from htpo.engines.trl import HTPOConfig, HTPOTrainer
from htpo.objectives import make_objective

TOKENIZER = Path(htpo.__file__).parent / "assets" / "number_path"
PROMPT = 64
WORDS = 20  # of the tokenizer, from which tokens are drawn
WAITS = "called a synchronizing CUDA operation"
CONTENDERS = ("TRL dapo", "dapo", "htpo")
QWEN3_06B = {
    "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
}  # fmt: skip
TINY = QWEN3_06B | {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}


def objective_rows(device: str, sizes: list[tuple[int, int]], compiled: list[bool], repeats: int) -> Iterator[dict]:
    """The objectives beside the bare loss, a row for each size and way to run."""
    objectives = {name: make_objective(name) for name in ("dapo", "htpo")}
    for responses, tokens in sizes:
        batch = make_batch(responses, tokens, device)
        for by_compiler in compiled:
            torch.compiler.reset()
            losses: dict[str, Callable] = {"bare DAPO": bare_dapo}
            losses |= {name: _loss_of(objective) for name, objective in objectives.items()}
            if by_compiler:
                losses = {name: torch.compile(loss) for name, loss in losses.items()}
            time_of = seconds(losses, batch, False, repeats)
            for name, loss in losses.items():
                yield {
                    "responses": responses,
                    "tokens": tokens,
                    "compiled": by_compiler,
                    "objective": name,
                    "ms": 1e3 * time_of[name],
                    "ratio": time_of[name] / time_of["bare DAPO"],
                    "MB": peak_bytes(loss, batch, False) / 1e6,
                    "waits": waits_for_gpu(loss, batch) if device == "cuda" else None,
                }


def _loss_of(objective: Any) -> Callable:
    return lambda batch, with_statistics: ours(batch, with_statistics, objective)


def waits_for_gpu(loss: Callable, batch: Any) -> int:
    """How often the host waits for the GPU during forward and backward."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step(loss, batch, False)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum(WAITS in str(warning.message) for warning in caught)


class Clock(TrainerCallback):
    """Seconds of each update, all work of the GPU done."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.at.append(time.perf_counter())


class TimedObjective(HTPOTrainer):
    """Keeps the milliseconds of the objective's forward pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.spent: list[Callable[[], float]] = []
        super().__init__(*args, **kwargs)

    def _apply_objective(self, *args: Any) -> Any:
        with stopwatch() as elapsed:
            result = super()._apply_objective(*args)
        self.spent.append(elapsed)
        return result


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Milliseconds of what is done within, on the GPU's clock where there is one, which nothing waits for."""
    if torch.cuda.is_available():
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        yield lambda: start.elapsed_time(end)
        end.record()
    else:
        begun = time.perf_counter()
        ended: list[float] = []
        yield lambda: 1e3 * (ended[0] - begun)
        ended.append(time.perf_counter())


def given_responses(prompts: list[str], tokens: int) -> dict[str, list]:
    """A response of `tokens` random tokens to each prompt."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(3, WORDS, (len(prompts), PROMPT + tokens), generator=draw).tolist()
    return {
        "prompt_ids": [row[:PROMPT] for row in ids],
        "completion_ids": [row[PROMPT:] for row in ids],
        "logprobs": [[0.0] * tokens for _ in ids],
    }


def trainer_of(contender: str, model: Any, folder: str, rows: int, tokens: int, updates: int) -> Any:
    """TRL's trainer with its DAPO loss, or ours with an objective: two updates of each batch of given responses."""
    from datasets import Dataset

    on_gpu = model.device.type == "cuda"
    given = {
        "output_dir": folder,
        "per_device_train_batch_size": rows,
        "steps_per_generation": 2,
        "num_generations": 2,
        "max_completion_length": tokens,
        "max_steps": updates,
        "learning_rate": 0.0,
        "beta": 0.0,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": not on_gpu,
        "bf16": on_gpu,
        "gradient_checkpointing": True,
        "disable_tqdm": True,
        "logging_steps": updates,
    }
    further = {
        "train_dataset": Dataset.from_dict({"prompt": ["12"] * 4 * rows}),
        "processing_class": AutoTokenizer.from_pretrained(TOKENIZER, padding_side="left"),
        "rollout_func": lambda prompts, trainer: given_responses(prompts, tokens),
    }
    if contender.startswith("TRL"):
        return GRPOTrainer(model, every_other, GRPOConfig(**given, loss_type="dapo"), **further)
    args = HTPOConfig(**given, objective=contender, dynamic_sampling=False, overlong_buffer=0)
    return TimedObjective(model, every_other, args, **further)


def every_other(completions: list[Any], **_: Any) -> list[float]:
    """A reward that no group is without signal under."""
    return [float(place % 2) for place in range(len(completions))]


def update_rows(device: str, config: dict, sizes: list[tuple[int, int]], rounds: int, updates: int) -> Iterator[dict]:
    """Updates of each contender, a row for each size: medians over rounds, the first batch of each left out."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = Qwen3ForCausalLM(Qwen3Config(**config)).to(device, dtype)
    for rows, tokens in sizes:
        found: dict[str, list[dict[str, float | None]]] = {name: [] for name in CONTENDERS}
        for number in range(rounds):
            for place in range(len(CONTENDERS)):
                name = CONTENDERS[(number + place) % len(CONTENDERS)]
                found[name].append(_updates(name, model, rows, tokens, updates))
        plain = statistics.median(run["ms"] for run in found[CONTENDERS[0]])
        for name, runs in found.items():
            middle = {unit: _median([run[unit] for run in runs]) for unit in runs[0]}
            yield {
                "tokens": tokens,
                "responses": rows,
                "trainer": name,
                **middle,
                "ratio": middle["ms"] / plain,
                "lowest": min(run["ms"] for run in runs),
                "highest": max(run["ms"] for run in runs),
                "tokens/s": 1e3 * rows * tokens / middle["ms"],
            }


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _updates(contender: str, model: Any, rows: int, tokens: int, updates: int) -> dict[str, float | None]:
    clock = Clock()
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using 'rollout_func'")
        host = trainer_of(contender, model, folder, rows, tokens, updates)
        host.remove_callback(PrinterCallback)
        host.add_callback(clock)
        host.train()
    each = 1e3 * (clock.at[-1] - clock.at[1]) / (updates - 2)
    spent = [elapsed() for elapsed in getattr(host, "spent", [])[2:]]
    return {
        "ms": each,
        "GB": torch.cuda.max_memory_allocated() / 1e9 if on_gpu else None,
        "objective": statistics.fmean(spent) / each if spent else None,
    }


def as_table(rows: list[dict], columns: dict[str, str]) -> str:
    """Markdown; `columns` has the format of each."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = ("" if row[name] is None else format(row[name], how) for name, how in columns.items())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see that all of it runs")
    parser.add_argument("--rounds", type=int, default=3, help="trainers of each contender and size")
    parser.add_argument("--updates", type=int, default=8, help="of each trainer, even, of which two are left out")
    parser.add_argument("--output", type=Path, help="a JSON file of every row")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU here: --device cpu --tiny shows that all of it runs, and measures nothing")
    name = torch.cuda.get_device_name() if args.device == "cuda" else "CPU, which says nothing about a GPU"
    print(f"torch {torch.__version__}, {name}\n")
    objective_sizes = [(2, 64)] if args.tiny else [(16, 20480), (64, 20480)]
    ways = [False] if args.tiny else [False, True]
    found = {"objective": list(objective_rows(args.device, objective_sizes, ways, 3 if args.tiny else 30))}
    columns = {"responses": "d", "tokens": "d", "compiled": "", "objective": "", "ms": ".3f", "ratio": ".2f"}
    print(as_table(found["objective"], {**columns, "MB": ".0f", "waits": "d"}), flush=True)
    update_sizes = [(2, 16)] if args.tiny else [(4, 4096), (1, 16384)]
    config = TINY if args.tiny else QWEN3_06B
    found["update"] = list(update_rows(args.device, config, update_sizes, args.rounds, args.updates))
    columns = {"responses": "d", "tokens": "d", "trainer": "", "ms": ".1f", "lowest": ".1f", "highest": ".1f"}
    columns |= {"ratio": ".3f", "tokens/s": ".0f", "GB": ".1f", "objective": ".1%"}
    print(f"\n{as_table(found['update'], columns)}")
    if args.output:
        args.output.write_text(json.dumps({"device": name, "torch": torch.__version__, **found}, indent=1))
        print(f"\nwritten to {args.output}")


if __name__ == "__main__":
    main()
