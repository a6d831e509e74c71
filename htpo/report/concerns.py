"""What a good colleague would ask about a run: checks of its records, each with the numbers and what may help."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from htpo.analysis.left_out import LeftOut
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


VERL_NAMES = {
    "--clip_high": "+htpo.clip_high",
    "--max_completion_length": "data.max_response_length",
    "--max_generation_rounds": "+htpo.max_generation_rounds",
    "--overlong_buffer": "verl's overlong buffer",
}
"""What options of `htpo train` are called in a command of verl's."""


@dataclass(frozen=True)
class Concern:
    """Something to look at."""

    title: str  # with this run's numbers
    evidence: str
    advice: str


Check = Callable[[RunRecord], Concern | None]
"""What it found, None where all is in order; it raises `LeftOut` where that cannot be told."""
CHECKS: dict[str, Check] = {}
"""In the order of this file, which is the page's."""


def _check(name: str) -> Callable[[Check], Check]:
    """Enter a check in `CHECKS`, named after what is so when it finds nothing."""

    def enter(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return enter


@dataclass(frozen=True)
class Checked:
    """The checks of a run by what came of them."""

    raised: dict[str, Concern]
    passed: list[str]
    unknown: dict[str, str]  # checks that could not be made, and why


def concerns(run: RunRecord) -> Checked:
    """What to look at in a run, what is in order, and what cannot be told.

    "At the start" and "at the end" are means over the first and the last tenth of the updates.
    """
    checked = Checked({}, [], {})
    for name, check in CHECKS.items():
        try:
            concern = check(run)
        except LeftOut as reason:
            checked.unknown[name] = str(reason)
            continue
        if concern is None:
            checked.passed.append(name)
        else:
            checked.raised[name] = _in_names_of(run.engine, concern)
    return checked


def _in_names_of(engine: str, concern: Concern) -> Concern:
    """With options called as the run's command calls them."""
    advice = concern.advice
    for ours, theirs in VERL_NAMES.items() if engine == "verl" else ():
        advice = advice.replace(ours, theirs)
    return replace(concern, advice=advice)


@dataclass(frozen=True)
class Together:
    """The checks of several runs."""

    raised: list[tuple[Concern, list[tuple[str, str]]]]  # of one run, with the runs that have it, and their numbers
    passed: list[str]  # in all runs
    unknown: dict[str, list[str]]  # why some could not be made in any run, and which

    @classmethod
    def of(cls, runs: Sequence[RunRecord]) -> "Together":
        """Every check of every run."""
        checked = {run.label: concerns(run) for run in runs}
        together = cls([], [], {})
        for name in CHECKS:
            raised = {label: one.raised[name] for label, one in checked.items() if name in one.raised}
            whys = {one.unknown.get(name) for one in checked.values()}
            if raised:
                said = [(label, f"{concern.title}. {concern.evidence}") for label, concern in raised.items()]
                together.raised.append((next(iter(raised.values())), said))
            elif all(name in one.passed for one in checked.values()):
                together.passed.append(name)
            elif len(whys) == 1:
                together.unknown.setdefault(str(whys.pop()), []).append(name)
        return together


@_check("came to its end")
def _unfinished(run: RunRecord) -> Concern | None:
    if run.summary is not None:
        return None
    done = run.updates[-1]["step"] if run.updates else 0
    again = f"htpo train --resume --output_dir {run.directory.path}"
    if run.engine == "verl":
        again = "the same command does, where trainer.resume_mode is auto"
    return Concern(
        "The run did not come to its end",
        f"{done} updates are recorded, and no summary: it is running, was interrupted, or failed.",
        f"Go on from its last checkpoint: {again}",
    )


@_check("loss and gradient are numbers")
def _broken_numbers(run: RunRecord) -> Concern | None:
    if not run.updates:
        raise LeftOut(NO_UPDATES)
    broken = [u["step"] for u in run.updates if any(name in u and u[name] is None for name in ("loss", "grad_norm"))]
    if not broken:
        return None
    return Concern(
        "The loss or its gradient was not a number",
        f"{len(broken)} of {len(run.updates)} updates, the first of them update {broken[0]}.",
        "Training after it means nothing. Lower the learning rate, and keep bfloat16 rather than float16.",
    )


@_check("pass@1 rose on held-out problems")
def _not_risen(run: RunRecord) -> Concern | None:
    towards, numbers = _change(run, 1)
    if towards > 0:
        return None
    numbers = f"On held-out problems {numbers}."
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


@_check("still solves what it used to")
def _narrowed(run: RunRecord) -> Concern | None:
    k = run.after.samples if run.after else 0
    if k == 1:
        raise LeftOut("held-out problems were answered once each")
    towards, numbers = _change(run, k)
    if towards >= 0:
        return None
    return Concern(
        f"Fewer problems are solved in {k} attempts than before training",
        f"{numbers}: the policy gave up ways that used to succeed.",
        "Fewer or smaller updates, a higher --clip_high, or an objective that keeps exploring.",
    )


@_check("entropy did not collapse")
def _entropy_fell(run: RunRecord) -> Concern | None:
    times = _times(run, "entropy")
    if times >= FALLEN:
        return None
    return Concern(
        f"Entropy fell to {times:.0%} of its start",
        _from_to(run, "entropy", "{:.3f} nats per token"),
        "A policy that is sure of every token no longer tries anything new. See whether pass@k at the largest k fell, "
        "too; a lower learning rate or a higher --clip_high slows it.",
    )


@_check("entropy did not explode")
def _entropy_grew(run: RunRecord) -> Concern | None:
    times = _times(run, "entropy")
    if times <= GROWN:
        return None
    return Concern(
        f"Entropy grew to {times:.1f} times its start",
        _from_to(run, "entropy", "{:.3f} nats per token"),
        "The policy becomes more random instead of surer. Read some rollouts below; lower the learning rate.",
    )


@_check("length did not explode")
def _length_grew(run: RunRecord) -> Concern | None:
    times = _times(run, "completions/mean_length")
    if times <= GROWN:
        return None
    return Concern(
        f"Responses grew to {times:.1f} times their length",
        _from_to(run, "completions/mean_length", "{:.0f} tokens"),
        "Fine where accuracy rose with it; else read long rollouts for repetition, and use --overlong_buffer.",
    )


@_check("few responses are cut off")
def _truncated(run: RunRecord) -> Concern | None:
    share = _known(run, run.at_end("completions/clipped_ratio"))
    if share <= MOST_TRUNCATED:
        return None
    limit = run.config.get("max_completion_length") or run.config.get("data.max_response_length")
    wrong = " and count as wrong" if run.engine == "trl" or run.logged("verifier/truncated_share") else ""
    reached = f"the limit of {limit} tokens" if limit else "the limit of tokens"
    if share == 1:
        return Concern(
            "Every response is cut off",
            f"At the end of training all responses reach {reached} without an end{wrong}.",
            "See whether the policy ends its answers at all: compare the end tokens of its tokenizer, generation "
            "config and chat template, and read some rollouts below. If it does, raise --max_completion_length.",
        )
    return Concern(
        f"{share:.0%} of the responses are cut off",
        f"They reach {reached}{wrong}.",
        "Raise --max_completion_length, or punish length before the limit with --overlong_buffer.",
    )


@_check("problems are neither too easy nor too hard")
def _without_signal(run: RunRecord) -> Concern | None:
    drawn = run.throughout("sampling/groups_drawn")
    if drawn:
        shares = {name: (run.throughout(f"sampling/groups_{name}") or 0.0) / drawn for name in NO_SIGNAL}
        if sum(shares.values()) <= MOST_WITHOUT_SIGNAL:
            return None
        title, _, advice = NO_SIGNAL[max(shares, key=shares.get)]
        listed = ", ".join(f"{share:.0%} {NO_SIGNAL[name][1]}" for name, share in shares.items() if share)
        return Concern(title, f"Of the prompts {listed}: nothing is learnt from them.", advice)
    same = _known(run, run.throughout("frac_reward_zero_std"))
    if same <= MOST_WITHOUT_SIGNAL:
        return None
    return Concern(
        "Most prompts teach nothing",
        f"{same:.0%} of the prompts got the same reward for all their answers (accuracy at the end: "
        f"{number_text(run.at_end('accuracy'), '.2f', NO_VERDICT)}).",
        "Use problems that the policy solves sometimes, or an objective with dynamic sampling.",
    )


@_check("batches were filled")
def _unfilled(run: RunRecord) -> Concern | None:
    share = _known(run, run.throughout("sampling/filled_share"))
    if not run.logged("sampling/groups_from_surplus") and run.throughout("sampling/rounds") == 1:
        raise LeftOut("there was no dynamic sampling")
    if share >= LEAST_FILLED:
        return None
    return Concern(
        "Dynamic sampling could not fill its batches",
        f"On average {share:.0%} of a batch had a signal when the rounds ran out.",
        "Raise --max_generation_rounds, or use problems that the policy solves sometimes.",
    )


@_check("the verifier worked")
def _verifier_failed(run: RunRecord) -> Concern | None:
    out = _known(run, run.throughout("verifier/timeout_share"))
    crashed = run.throughout("verifier/crash_share") or 0.0
    if out + crashed <= MOST_FAILED:
        return None
    return Concern(
        "The verifier failed on some answers",
        f"{out:.1%} of the responses took too long to judge and {crashed:.1%} made it fail; all count as wrong.",
        "Right answers may be among them. `htpo data check` judges the data's own answers; a verifier of yours may "
        "have to be faster or sturdier.",
    )


@_check("all answers got a verdict")
def _unscored(run: RunRecord) -> Concern | None:
    share = _known(run, run.throughout("unscored_share"))
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


@_check("answers could be read")
def _unparsable(run: RunRecord) -> Concern | None:
    share = _known(run, run.at_end("verifier/unparsable_share"))
    if share <= MOST_UNPARSABLE:
        return None
    return Concern(
        f"In {share:.0%} of the responses no answer was found",
        "They count as wrong, whatever they say.",
        "Compare what the prompt asks for with what the verifier reads: htpo data show SOURCE.",
    )


@_check("the clip binds for few tokens")
def _clipped(run: RunRecord) -> Concern | None:
    share = _known(run, run.at_end("clip/region_fraction"))
    if share <= MOST_CLIPPED:
        return None
    return Concern(
        f"PPO's clip binds for {share:.0%} of the tokens",
        "The policy moves far from the one that wrote the responses before they are used up.",
        "Fewer updates per generation, or a lower learning rate.",
    )


def _known(run: RunRecord, value: float | None) -> float:
    """The value of a metric, where it was logged."""
    if value is None:
        raise LeftOut("it was not logged" if run.updates else NO_UPDATES)
    return value


def _change(run: RunRecord, k: int) -> tuple[int, str]:
    """Whether pass@k rose (1), fell (-1) or neither (0) on held-out problems, and in words."""
    found = run.held_out_change(k)
    if found is None:
        raise LeftOut("held-out problems were not measured before and after")
    if found.low is None:
        raise LeftOut(found.why)
    return direction(found.to_json()), change_in_words(f"pass@{k}", found.to_json())


def _times(run: RunRecord, name: str) -> float:
    """How many times its start a metric is at the end."""
    if len(run.updates) < FEWEST_UPDATES:
        raise LeftOut(f"needs {FEWEST_UPDATES} updates or more")
    start, end = _known(run, run.at_start(name)), _known(run, run.at_end(name))
    return _known(run, end / start if start > 0 and math.isfinite(end / start) else None)


def _from_to(run: RunRecord, name: str, form: str) -> str:
    return f"From {form.format(run.at_start(name))} to {form.format(run.at_end(name))} (first and last tenth)."
