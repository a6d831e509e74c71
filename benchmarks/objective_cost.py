"""Cost of the HTPO objective beside the plain DAPO token loss, forward + backward, side by side in one run.

    python benchmarks/objective_cost.py [--device cuda] [--repeats 30] [--long]

Two plain losses: "bare DAPO" is what the equation needs and nothing else (ratio, clip, dual clip, token mean); "DAPO as
hosts write it" also guards the ratio and logs the approximate KL and the clip shares, as verl's and TRL's losses do.
"with statistics" adds what each logs: clip shares to the bare loss, all group statistics to ours. Time is the median
over interleaved repeats; memory the peak of what was allocated during forward + backward beyond the inputs.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from htpo.objectives import TokenBatch, make_objective, token_mean


def make_batch(rows: int, tokens: int, device: str) -> TokenBatch:
    """Random responses of half to all of `tokens`; four tokens of five almost certain, as in a trained policy.

    Turns are of 64 tokens.
    """
    torch.manual_seed(0)
    length = torch.randint(tokens // 2, tokens + 1, (rows, 1))
    log_prob = -torch.rand(rows, tokens)
    entropy = torch.where(torch.rand(rows, tokens) < 0.2, torch.rand(rows, tokens) * 2, torch.rand(rows, tokens) * 0.05)
    batch = TokenBatch(
        log_prob=log_prob,
        old_log_prob=log_prob + 0.1 * torch.randn(rows, tokens),
        advantage=torch.randn(rows),
        entropy=entropy,
        mask=torch.arange(tokens) < length,
        correct=torch.arange(rows) % 2 == 0,
        group_accuracy=torch.rand(rows),
        turn=(torch.arange(tokens) // 64 + 1).int().repeat(rows, 1),
    )
    moved = {name: x.to(device) for name, x in vars(batch).items() if x is not None}
    moved["log_prob"].requires_grad_()
    return TokenBatch(**moved)


def bare_dapo(batch: TokenBatch, with_statistics: bool) -> torch.Tensor:
    """DAPO's token loss, written out."""
    advantage, mask = batch.advantage.unsqueeze(1), batch.mask
    ratio = torch.exp((batch.log_prob - batch.old_log_prob).clamp(-20, 20))
    clipped = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.28))
    loss = torch.where(advantage < 0, torch.minimum(clipped, -advantage * 10.0), clipped)
    if with_statistics:
        with torch.no_grad():
            for share in ((ratio < 0.8) & (advantage < 0), (ratio > 1.28) & (advantage > 0)):
                (share * mask).sum() / mask.sum()
    return (loss * mask).sum() / mask.sum()


def hosts_dapo(batch: TokenBatch, with_statistics: bool) -> torch.Tensor:
    """The same loss with what training frameworks compute along with it on every call."""
    advantage, mask = batch.advantage.unsqueeze(1).expand_as(batch.log_prob), batch.mask.float()

    def masked_mean(x: torch.Tensor) -> torch.Tensor:
        return (x * mask).sum() / (mask.sum() + 1e-8)

    log_ratio = (batch.log_prob - batch.old_log_prob).clamp(-20, 20)
    ratio = log_ratio.exp()
    masked_mean(-log_ratio)
    unclipped = -advantage * ratio
    clipped = -advantage * ratio.clamp(0.8, 1.28)
    upper = torch.maximum(unclipped, clipped)
    masked_mean((clipped > unclipped).float())
    bound = -advantage * 10.0
    lower = torch.minimum(bound, upper)
    masked_mean((upper > bound).float() * (advantage < 0).float())
    return masked_mean(torch.where(advantage < 0, lower, upper))


def ours(batch: TokenBatch, with_statistics: bool, objective) -> torch.Tensor:
    """The objective through its public API."""
    out = objective(batch)
    if with_statistics:
        out.stats  # noqa: B018 computed when asked for
    return token_mean(-out.value, batch.mask)


def step(loss: Callable, batch: TokenBatch, with_statistics: bool) -> None:
    """Forward and backward."""
    batch.log_prob.grad = None
    loss(batch, with_statistics).backward()


def seconds(contenders: dict, batch: TokenBatch, with_statistics: bool, repeats: int) -> dict[str, float]:
    """Median seconds of each contender, repeats interleaved so that a noisy moment hits all alike."""
    cuda = batch.log_prob.is_cuda
    spent = {name: [] for name in contenders}
    for repeat in range(repeats + 2):
        for name, loss in contenders.items():
            if cuda:
                torch.cuda.synchronize()
            start = time.perf_counter()
            step(loss, batch, with_statistics)
            if cuda:
                torch.cuda.synchronize()
            if repeat >= 2:
                spent[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in spent.items()}


def peak_bytes(loss: Callable, batch: TokenBatch, with_statistics: bool) -> int:
    """Peak of allocated bytes during one step, beyond what was allocated before it."""
    step(loss, batch, with_statistics)
    batch.log_prob.grad = None
    if batch.log_prob.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, batch, with_statistics)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step(loss, batch, with_statistics)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = [e for e in json.loads(trace.read_text())["traceEvents"] if e.get("name") == "[memory]"]
    events.sort(key=lambda event: event["ts"])
    live = peak = 0
    for event in events:
        live += event["args"]["Bytes"]
        peak = max(peak, live)
    return peak


def check_no_synchronisation(batch: TokenBatch, objective) -> None:
    """Raise if the objective makes the host wait for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(lambda b, s: ours(b, s, objective), batch, True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    print("no host synchronisation: checked with torch.cuda.set_sync_debug_mode('error')")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--long", action="store_true", help="also 16 x 131072 tokens, to see that cost is linear")
    args = parser.parse_args()
    paper = make_objective("htpo")
    batch_scope, turn_scope = (make_objective("htpo", entropy_scope=scope) for scope in ("batch", "turn"))
    contenders = {
        "bare DAPO": bare_dapo,
        "DAPO as hosts write it": hosts_dapo,
        "htpo": lambda batch, with_statistics: ours(batch, with_statistics, paper),
        "htpo, batch scope": lambda batch, with_statistics: ours(batch, with_statistics, batch_scope),
        "htpo, turn scope": lambda batch, with_statistics: ours(batch, with_statistics, turn_scope),
    }
    machine = (
        torch.cuda.get_device_name() if args.device.startswith("cuda") else f"{torch.get_num_threads()} CPU threads"
    )
    print(f"torch {torch.__version__}, {machine}, {platform.machine()}; median of {args.repeats} interleaved repeats\n")
    print("| tokens | statistics | objective | ms | time ratio | peak MB | memory ratio |")
    print("|---|---|---|---|---|---|---|")
    for tokens in (4096, 20480, *([131072] if args.long else [])):
        batch = make_batch(16, tokens, args.device)
        if args.device.startswith("cuda"):
            for objective in (paper, turn_scope):
                check_no_synchronisation(batch, objective)
        for with_statistics in (False, True):
            time_of = seconds(contenders, batch, with_statistics, args.repeats)
            memory_of = {name: peak_bytes(loss, batch, with_statistics) for name, loss in contenders.items()}
            for name in contenders:
                ratio = time_of[name] / time_of["bare DAPO"]
                memory = memory_of[name] / memory_of["bare DAPO"]
                print(
                    f"| 16 x {tokens} | {'yes' if with_statistics else 'no'} | {name} | {1e3 * time_of[name]:.2f} | "
                    f"{ratio:.2f} | {memory_of[name] / 1e6:.1f} | {memory:.2f} |"
                )


if __name__ == "__main__":
    main()
