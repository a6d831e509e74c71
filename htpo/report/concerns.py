"""What a good colleague would ask about a run: checks of its records, each with the numbers and what may help."""

from collections.abc import Callable
from dataclasses import dataclass

from htpo.report.record import RunRecord, change, direction
from htpo.report.tables import difference_text

FALLEN, GROWN = 0.5, 2.0  # times its start
MOST_TRUNCATED = 0.1  # of the responses
MOST_WITHOUT_SIGNAL = 0.5  # of the prompts
LEAST_FILLED = 0.99  # of the batch
MOST_FAILED = 0.01  # of the responses: the verifier timed out or crashed
MOST_UNPARSABLE = 0.2
MOST_CLIPPED = 0.2  # of the tokens


@dataclass(frozen=True)
class Concern:
    """Something to look at."""

    title: str  # with this run's numbers
    evidence: str
    advice: str


Check = Callable[[RunRecord], Concern | None]


def concerns(run: RunRecord) -> tuple[dict[str, Concern], list[str]]:
    """What to look at, by check, and the names of the checks that found nothing.

    "At the start" and "at the end" are means over the first and the last tenth of the updates.
    """
    found = {name: check(run) for name, check in CHECKS.items()}
    return {name: one for name, one in found.items() if one}, [name for name, one in found.items() if one is None]


def _unfinished(run: RunRecord) -> Concern | None:
    if run.summary is not None:
        return None
    done = run.updates[-1]["step"] if run.updates else 0
    return Concern(
        "The run did not come to its end",
        f"{done} updates are recorded, and no summary: it is running, was interrupted, or failed.",
        f"Go on from its last checkpoint: htpo train --resume --output_dir {run.directory.path}",
    )


def _broken_numbers(run: RunRecord) -> Concern | None:
    broken = [u["step"] for u in run.updates if any(name in u and u[name] is None for name in ("loss", "grad_norm"))]
    if not broken:
        return None
    return Concern(
        "The loss or its gradient was not a number",
        f"{len(broken)} of {len(run.updates)} updates, the first of them update {broken[0]}.",
        "Training after it means nothing. Lower the learning rate, and keep bfloat16 rather than float16.",
    )


def _nothing_learnt(run: RunRecord) -> Concern | None:
    found = run.held_out_change(1)
    if found is None or direction(found) > 0:
        return None
    numbers = f"pass@1 on held-out problems changed by {difference_text(found)}."
    if direction(found) < 0:
        return Concern(
            "The policy got WORSE on held-out problems",
            numbers,
            "Lower the learning rate; see whether reward rose at the same time (then it learns what is not asked for).",
        )
    return Concern(
        "Nothing measurable was learnt",
        numbers,
        "More updates, a higher learning rate, or more held-out problems and samples to see a small change.",
    )


def _narrowed(run: RunRecord) -> Concern | None:
    k = run.after.samples if run.after else 1
    found = run.held_out_change(k) if k > 1 else None
    if found is None or direction(found) >= 0:
        return None
    return Concern(
        f"Fewer problems are solved in {k} attempts than before training",
        f"pass@{k} changed by {difference_text(found)}: the policy gave up ways that used to succeed.",
        "Fewer or smaller updates, a higher --clip_high, or an objective that keeps exploring.",
    )


def _entropy_fell(run: RunRecord) -> Concern | None:
    times = change(run.at_start("entropy"), run.at_end("entropy"))
    if times is None or times >= FALLEN:
        return None
    return Concern(
        f"Entropy fell to {times:.0%} of its start",
        _from_to(run, "entropy", "{:.3f} nats per token"),
        "A policy that is sure of every token no longer tries anything new. See whether pass@k at the largest k fell, "
        "too; a lower learning rate or a higher --clip_high slows it.",
    )


def _entropy_grew(run: RunRecord) -> Concern | None:
    times = change(run.at_start("entropy"), run.at_end("entropy"))
    if times is None or times <= GROWN:
        return None
    return Concern(
        f"Entropy grew to {times:.1f} times its start",
        _from_to(run, "entropy", "{:.3f} nats per token"),
        "The policy becomes more random instead of surer. Read some rollouts below; lower the learning rate.",
    )


def _length_grew(run: RunRecord) -> Concern | None:
    times = change(run.at_start("completions/mean_length"), run.at_end("completions/mean_length"))
    if times is None or times <= GROWN:
        return None
    return Concern(
        f"Responses grew to {times:.1f} times their length",
        _from_to(run, "completions/mean_length", "{:.0f} tokens"),
        "Fine where accuracy rose with it; else read long rollouts for repetition, and use --overlong_buffer.",
    )


def _truncated(run: RunRecord) -> Concern | None:
    share = run.at_end("completions/clipped_ratio")
    if share is None or share <= MOST_TRUNCATED:
        return None
    return Concern(
        f"{share:.0%} of the responses are cut off",
        f"They reach the limit of {run.config.get('max_completion_length', 'the')} tokens and count as wrong.",
        "Raise --max_completion_length, or punish length before the limit with --overlong_buffer.",
    )


def _without_signal(run: RunRecord) -> Concern | None:
    drawn = run.throughout("sampling/groups_drawn")
    if drawn:
        easy, hard = ((run.throughout(f"sampling/groups_too_{kind}") or 0.0) / drawn for kind in ("easy", "hard"))
        if easy + hard <= MOST_WITHOUT_SIGNAL:
            return None
        return Concern(
            f"Most problems are too {'easy' if easy > hard else 'hard'}",
            f"{easy:.0%} of the prompts were answered always right and {hard:.0%} always wrong: all their answers get "
            "the same reward, so nothing is learnt from them.",
            "Use harder problems." if easy > hard else "Use easier problems, more samples per prompt, or a warm start.",
        )
    same = run.throughout("frac_reward_zero_std")
    if same is None or same <= MOST_WITHOUT_SIGNAL:
        return None
    return Concern(
        "Most prompts teach nothing",
        f"{same:.0%} of the prompts got the same reward for all their answers (accuracy at the end: "
        f"{run.at_end('accuracy') or 0:.2f}).",
        "Use problems that the policy solves sometimes, or an objective with dynamic sampling.",
    )


def _unfilled(run: RunRecord) -> Concern | None:
    share = run.throughout("sampling/filled_share")
    if share is None or share >= LEAST_FILLED:
        return None
    return Concern(
        "Dynamic sampling could not fill its batches",
        f"On average {share:.0%} of a batch had a signal when the rounds ran out.",
        "Raise --max_generation_rounds, or use problems that the policy solves sometimes.",
    )


def _verifier_failed(run: RunRecord) -> Concern | None:
    out, crashed = (run.throughout(f"verifier/{kind}_share") or 0.0 for kind in ("timeout", "crash"))
    if out + crashed <= MOST_FAILED:
        return None
    return Concern(
        "The verifier failed on some answers",
        f"{out:.1%} of the responses took too long to judge and {crashed:.1%} made it fail; all count as wrong.",
        "Right answers may be among them. `htpo data check` judges the data's own answers; a verifier of yours may "
        "have to be faster or sturdier.",
    )


def _unparsable(run: RunRecord) -> Concern | None:
    share = run.at_end("verifier/unparsable_share")
    if share is None or share <= MOST_UNPARSABLE:
        return None
    return Concern(
        f"In {share:.0%} of the responses no answer was found",
        "They count as wrong, whatever they say.",
        "Compare what the prompt asks for with what the verifier reads: htpo data show SOURCE.",
    )


def _clipped(run: RunRecord) -> Concern | None:
    share = run.at_end("clip/region_fraction")
    if share is None or share <= MOST_CLIPPED:
        return None
    return Concern(
        f"PPO's clip binds for {share:.0%} of the tokens",
        "The policy moves far from the one that wrote the responses before they are used up.",
        "Fewer updates per generation, or a lower learning rate.",
    )


CHECKS: dict[str, Check] = {
    "came to its end": _unfinished,
    "loss and gradient are numbers": _broken_numbers,
    "something was learnt": _nothing_learnt,
    "still solves what it used to": _narrowed,
    "entropy did not collapse": _entropy_fell,
    "entropy did not explode": _entropy_grew,
    "length did not explode": _length_grew,
    "few responses are cut off": _truncated,
    "problems are neither too easy nor too hard": _without_signal,
    "batches were filled": _unfilled,
    "the verifier worked": _verifier_failed,
    "answers could be read": _unparsable,
    "the clip binds for few tokens": _clipped,
}


def _from_to(run: RunRecord, name: str, form: str) -> str:
    return f"From {form.format(run.at_start(name))} to {form.format(run.at_end(name))} (first and last tenth)."
