"""What a good colleague would ask about a run: checks of its records, each with the numbers and what may help."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from htpo.report.tables import NO_VERDICT
from htpo.runs import RunRecord
from htpo.statistics import change_in_words, direction, number_text

FALLEN, GROWN = 0.5, 2.0  # times its start
MOST_TRUNCATED = 0.1  # of the responses
MOST_WITHOUT_SIGNAL = 0.5  # of the prompts
LEAST_FILLED = 0.99  # of the batch
MOST_FAILED = 0.01  # of the responses: the verifier timed out or crashed
MOST_UNPARSABLE = 0.2
MOST_CLIPPED = 0.2  # of the tokens
FEWEST_UPDATES = 10  # of what is compared over time: below, a tenth of them is less than one
NO_UPDATES = "no update is recorded"
NOT_MEASURED = "held-out problems were not measured before and after"
NO_SIGNAL = {
    "too_easy": ("Most problems are too easy", "were answered always right", "Use harder problems."),
    "too_hard": (
        "Most problems are too hard",
        "were answered always wrong",
        "Use easier problems, more samples per prompt, or a warm start.",
    ),
    "same_reward": (
        "Most prompts' answers all get the same reward",
        "got one reward for all answers",
        "Let the reward tell their answers apart.",
    ),
    "cut_off": (
        "Most prompts' answers are all cut off",
        "had every answer cut off",
        "Raise --max_completion_length, and see that the policy ends its answers at all.",
    ),
    "unscored": (
        "Most prompts' answers get no verdict",
        "had fewer than two answers with a verdict",
        "See to the reward function or verifier first.",
    ),
}
"""Why prompts carry no signal, by the name in the metrics: of most of them, of some of them, and what may help."""


@dataclass(frozen=True)
class Concern:
    """Something to look at."""

    title: str  # with this run's numbers
    evidence: str
    advice: str


Check = Callable[[RunRecord], Concern | str | None]
"""What it found, None where all is in order, or why it could not tell."""


@dataclass(frozen=True)
class Findings:
    """The checks by what came of them."""

    raised: dict[str, Concern]
    passed: list[str]
    unknown: dict[str, str]  # checks that could not be made, and why


def concerns(run: RunRecord) -> Findings:
    """What to look at in a run, what is in order, and what cannot be told.

    "At the start" and "at the end" are means over the first and the last tenth of the updates.
    """
    found = {name: check(run) for name, check in CHECKS.items()}
    return Findings(
        {name: one for name, one in found.items() if isinstance(one, Concern)},
        [name for name, one in found.items() if one is None],
        {name: one for name, one in found.items() if isinstance(one, str)},
    )


def _unfinished(run: RunRecord) -> Concern | str | None:
    if run.summary is not None:
        return None
    done = run.updates[-1]["step"] if run.updates else 0
    return Concern(
        "The run did not come to its end",
        f"{done} updates are recorded, and no summary: it is running, was interrupted, or failed.",
        f"Go on from its last checkpoint: htpo train --resume --output_dir {run.directory.path}",
    )


def _broken_numbers(run: RunRecord) -> Concern | str | None:
    if not run.updates:
        return NO_UPDATES
    broken = [u["step"] for u in run.updates if any(name in u and u[name] is None for name in ("loss", "grad_norm"))]
    if not broken:
        return None
    return Concern(
        "The loss or its gradient was not a number",
        f"{len(broken)} of {len(run.updates)} updates, the first of them update {broken[0]}.",
        "Training after it means nothing. Lower the learning rate, and keep bfloat16 rather than float16.",
    )


def _not_risen(run: RunRecord) -> Concern | str | None:
    found = run.held_out_change(1)
    if found is None:
        return NOT_MEASURED
    if found.low is None:
        return found.why
    towards = direction(found.to_json())
    if towards > 0:
        return None
    numbers = f"On held-out problems {change_in_words('pass@1', found.to_json())}."
    if towards < 0:
        return Concern(
            "The policy got WORSE on held-out problems",
            numbers,
            "Lower the learning rate; see whether reward rose at the same time (then it learns what is not asked for).",
        )
    return Concern(
        "No change of pass@1 was shown",
        numbers,
        "That is not to say that nothing was learnt. More held-out problems and samples show smaller changes; more "
        "updates or a higher learning rate may bring larger ones.",
    )


def _narrowed(run: RunRecord) -> Concern | str | None:
    k = run.after.samples if run.after else 1
    found = run.held_out_change(k)
    if found is None:
        return NOT_MEASURED
    if k == 1:
        return "held-out problems were answered once each"
    if found.low is None:
        return found.why
    if direction(found.to_json()) >= 0:
        return None
    return Concern(
        f"Fewer problems are solved in {k} attempts than before training",
        f"{change_in_words(f'pass@{k}', found.to_json())}: the policy gave up ways that used to succeed.",
        "Fewer or smaller updates, a higher --clip_high, or an objective that keeps exploring.",
    )


def _entropy_fell(run: RunRecord) -> Concern | str | None:
    times = _times(run, "entropy")
    if isinstance(times, str) or times >= FALLEN:
        return times if isinstance(times, str) else None
    return Concern(
        f"Entropy fell to {times:.0%} of its start",
        _from_to(run, "entropy", "{:.3f} nats per token"),
        "A policy that is sure of every token no longer tries anything new. See whether pass@k at the largest k fell, "
        "too; a lower learning rate or a higher --clip_high slows it.",
    )


def _entropy_grew(run: RunRecord) -> Concern | str | None:
    times = _times(run, "entropy")
    if isinstance(times, str) or times <= GROWN:
        return times if isinstance(times, str) else None
    return Concern(
        f"Entropy grew to {times:.1f} times its start",
        _from_to(run, "entropy", "{:.3f} nats per token"),
        "The policy becomes more random instead of surer. Read some rollouts below; lower the learning rate.",
    )


def _length_grew(run: RunRecord) -> Concern | str | None:
    times = _times(run, "completions/mean_length")
    if isinstance(times, str) or times <= GROWN:
        return times if isinstance(times, str) else None
    return Concern(
        f"Responses grew to {times:.1f} times their length",
        _from_to(run, "completions/mean_length", "{:.0f} tokens"),
        "Fine where accuracy rose with it; else read long rollouts for repetition, and use --overlong_buffer.",
    )


def _truncated(run: RunRecord) -> Concern | str | None:
    share = run.at_end("completions/clipped_ratio")
    if share is None:
        return _not_logged(run)
    if share <= MOST_TRUNCATED:
        return None
    limit = run.config.get("max_completion_length")
    reached = f"the limit of {limit} tokens" if limit else "the limit of tokens"
    if share == 1:
        return Concern(
            "Every response is cut off",
            f"At the end of training all responses reach {reached} without an end, and count as wrong.",
            "See whether the policy ends its answers at all: compare the end tokens of its tokenizer, generation "
            "config and chat template, and read some rollouts below. If it does, raise --max_completion_length.",
        )
    return Concern(
        f"{share:.0%} of the responses are cut off",
        f"They reach {reached} and count as wrong.",
        "Raise --max_completion_length, or punish length before the limit with --overlong_buffer.",
    )


def _without_signal(run: RunRecord) -> Concern | str | None:
    drawn = run.throughout("sampling/groups_drawn")
    if drawn:
        shares = {name: (run.throughout(f"sampling/groups_{name}") or 0.0) / drawn for name in NO_SIGNAL}
        if sum(shares.values()) <= MOST_WITHOUT_SIGNAL:
            return None
        title, _, advice = NO_SIGNAL[max(shares, key=shares.get)]
        listed = ", ".join(f"{share:.0%} {NO_SIGNAL[name][1]}" for name, share in shares.items() if share)
        return Concern(title, f"Of the prompts {listed}: nothing is learnt from them.", advice)
    same = run.throughout("frac_reward_zero_std")
    if same is None:
        return _not_logged(run)
    if same <= MOST_WITHOUT_SIGNAL:
        return None
    return Concern(
        "Most prompts teach nothing",
        f"{same:.0%} of the prompts got the same reward for all their answers (accuracy at the end: "
        f"{number_text(run.at_end('accuracy'), '.2f', NO_VERDICT)}).",
        "Use problems that the policy solves sometimes, or an objective with dynamic sampling.",
    )


def _unfilled(run: RunRecord) -> Concern | str | None:
    share = run.throughout("sampling/filled_share")
    if share is None:
        return _not_logged(run)
    if not run.logged("sampling/groups_from_surplus") and run.throughout("sampling/rounds") == 1:
        return "there was no dynamic sampling"
    if share >= LEAST_FILLED:
        return None
    return Concern(
        "Dynamic sampling could not fill its batches",
        f"On average {share:.0%} of a batch had a signal when the rounds ran out.",
        "Raise --max_generation_rounds, or use problems that the policy solves sometimes.",
    )


def _verifier_failed(run: RunRecord) -> Concern | str | None:
    if not run.logged("verifier/timeout_share"):
        return _not_logged(run)
    out, crashed = (run.throughout(f"verifier/{kind}_share") or 0.0 for kind in ("timeout", "crash"))
    if out + crashed <= MOST_FAILED:
        return None
    return Concern(
        "The verifier failed on some answers",
        f"{out:.1%} of the responses took too long to judge and {crashed:.1%} made it fail; all count as wrong.",
        "Right answers may be among them. `htpo data check` judges the data's own answers; a verifier of yours may "
        "have to be faster or sturdier.",
    )


def _unscored(run: RunRecord) -> Concern | str | None:
    share = run.throughout("unscored_share")
    if share is None:
        return _not_logged(run)
    if share == 0:
        return None
    some = [update["step"] for update in run.updates if update.get("unscored_share")]
    return Concern(
        "Some answers got no verdict",
        f"{share:.2%} of the responses, at {len(some)} of {len(run.updates)} updates (first at {some[0]}): the reward "
        "function or verifier raised, or returned None or a number that is not finite. They belong to no group, have "
        "no advantage, and count neither as right nor as wrong.",
        "Let it return a finite number for every response; the log holds its first traceback, and `htpo data check` "
        "tries a verifier on the data's own answers.",
    )


def _unparsable(run: RunRecord) -> Concern | str | None:
    share = run.at_end("verifier/unparsable_share")
    if share is None:
        return _not_logged(run)
    if share <= MOST_UNPARSABLE:
        return None
    return Concern(
        f"In {share:.0%} of the responses no answer was found",
        "They count as wrong, whatever they say.",
        "Compare what the prompt asks for with what the verifier reads: htpo data show SOURCE.",
    )


def _clipped(run: RunRecord) -> Concern | str | None:
    share = run.at_end("clip/region_fraction")
    if share is None:
        return _not_logged(run)
    if share <= MOST_CLIPPED:
        return None
    return Concern(
        f"PPO's clip binds for {share:.0%} of the tokens",
        "The policy moves far from the one that wrote the responses before they are used up.",
        "Fewer updates per generation, or a lower learning rate.",
    )


CHECKS: dict[str, Check] = {
    "came to its end": _unfinished,
    "loss and gradient are numbers": _broken_numbers,
    "pass@1 rose on held-out problems": _not_risen,
    "still solves what it used to": _narrowed,
    "entropy did not collapse": _entropy_fell,
    "entropy did not explode": _entropy_grew,
    "length did not explode": _length_grew,
    "few responses are cut off": _truncated,
    "problems are neither too easy nor too hard": _without_signal,
    "batches were filled": _unfilled,
    "the verifier worked": _verifier_failed,
    "all answers got a verdict": _unscored,
    "answers could be read": _unparsable,
    "the clip binds for few tokens": _clipped,
}


def _times(run: RunRecord, name: str) -> float | str:
    """How many times its start a metric is at the end, or why that cannot be said."""
    if len(run.updates) < FEWEST_UPDATES:
        return f"needs {FEWEST_UPDATES} updates or more"
    start, end = run.at_start(name), run.at_end(name)
    if start is None or end is None or start <= 0 or not math.isfinite(end / start):
        return _not_logged(run)
    return end / start


def _not_logged(run: RunRecord) -> str:
    return "nothing is known of it" if run.updates else NO_UPDATES


def _from_to(run: RunRecord, name: str, form: str) -> str:
    return f"From {form.format(run.at_start(name))} to {form.format(run.at_end(name))} (first and last tenth)."
