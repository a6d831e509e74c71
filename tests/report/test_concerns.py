"""Every warning is raised where it should be, says the numbers, and stays silent otherwise."""

from dataclasses import replace

import pytest

from htpo.report.concerns import CHECKS, concerns
from htpo.runs import ObjectiveTable, RunDirectory, RunRecord
from htpo.statistics import PassRates

FINE = {
    "loss": -0.1,
    "grad_norm": 0.5,
    "accuracy": 0.5,
    "entropy": 0.6,
    "completions/mean_length": 200.0,
    "completions/clipped_ratio": 0.01,
    "clip/region_fraction": 0.002,
    "sampling/groups_drawn": 50.0,
    "sampling/groups_too_easy": 5.0,
    "sampling/groups_too_hard": 10.0,
    "sampling/filled_share": 1.0,
    "verifier/timeout_share": 0.0,
    "verifier/crash_share": 0.0,
    "verifier/unparsable_share": 0.02,
    "unscored_share": 0.0,
    "frac_reward_zero_std": 0.3,
}


def rates(*correct):
    return PassRates(8, tuple(correct), 20.0, 0.0, {}, ())


def record(start=None, end=None, *, always=None, updates=40, **fields):
    """A run whose metrics go from FINE | start to FINE | end in the middle."""
    halves = [FINE | (always or {}) | (half or {}) for half in (start, end)]
    metrics = [{"step": n, **halves[n > updates // 2]} for n in range(1, updates + 1)]
    values = {
        "label": "run",
        "directory": RunDirectory("runs/x"),
        "config": {"max_completion_length": 512},
        "versions": {},
        "plan": {},
        "objective": ObjectiveTable(),
        "updates": metrics,
        "summary": {"seconds": 1.0},
        "before": rates(*[1, 2] * 20),
        "after": rates(*[5, 6] * 20),
    }
    return RunRecord(**(values | fields))


def test_a_good_run_raises_nothing_and_names_every_check():
    checked = concerns(record())
    assert (checked.raised, checked.unknown) == ({}, {})
    assert checked.passed == list(CHECKS)


@pytest.mark.parametrize(
    ("name", "run", "words"),
    [
        ("came to its end", record(summary=None), "40 updates are recorded"),
        (
            "loss and gradient are numbers",
            record(end={"grad_norm": None}),
            "the first of them update 21",
        ),
        ("pass@1 rose on held-out problems", record(after=rates(*[1, 2] * 19, 2, 1)), "could have been missed"),
        ("pass@1 rose on held-out problems", record(after=rates(*[0, 1] * 20)), "FELL by 0.125"),
        ("still solves what it used to", record(after=rates(*[8, 0] * 20)), "pass@8 FELL by 0.500"),
        ("entropy did not collapse", record({"entropy": 0.8}, {"entropy": 0.2}), "fell to 25% of its start"),
        ("entropy did not explode", record({"entropy": 0.2}, {"entropy": 0.6}), "grew to 3.0 times"),
        ("length did not explode", record(end={"completions/mean_length": 900.0}), "From 200 tokens to 900 tokens"),
        ("few responses are cut off", record(end={"completions/clipped_ratio": 0.4}), "limit of 512 tokens"),
        (
            "problems are neither too easy nor too hard",
            record(always={"sampling/groups_too_easy": 30.0}),
            "Most problems are too easy",
        ),
        (
            "problems are neither too easy nor too hard",
            record(always={"sampling/groups_too_hard": 45.0}),
            "90% were answered always wrong",
        ),
        (
            "problems are neither too easy nor too hard",
            record(always={"sampling/groups_drawn": None, "frac_reward_zero_std": 0.8}),
            "80% of the prompts got the same reward",
        ),
        (
            "problems are neither too easy nor too hard",
            record(always={"sampling/groups_cut_off": 30.0}),
            "Most prompts' answers are all cut off Of the prompts 10% were answered always right, 20% were answered "
            "always wrong, 60% had every answer cut off",
        ),
        (
            "problems are neither too easy nor too hard",
            record(always={"sampling/groups_same_reward": 45.0, "sampling/groups_too_hard": 0.0}),
            "Most prompts' answers all get the same reward",
        ),
        ("few responses are cut off", record(end={"completions/clipped_ratio": 1.0}), "Every response is cut off"),
        (
            "all answers got a verdict",
            record(end={"unscored_share": 0.01}),
            "0.50% of the responses, at 20 of 40 updates (first at 21)",
        ),
        ("batches were filled", record(always={"sampling/filled_share": 0.7}), "On average 70% of a batch"),
        ("the verifier worked", record(always={"verifier/timeout_share": 0.05}), "5.0% of the responses took too long"),
        ("the verifier worked", record(always={"verifier/crash_share": 0.02}), "2.0% made it fail"),
        ("answers could be read", record(end={"verifier/unparsable_share": 0.5}), "In 50% of the responses no answer"),
        ("the clip binds for few tokens", record(end={"clip/region_fraction": 0.4}), "binds for 40% of the tokens"),
    ],
)
def test_each_concern_is_raised_alone_and_says_the_numbers(name, run, words):
    found, passed = concerns(run).raised, concerns(run).passed
    assert name in found
    assert words in f"{found[name].title} {found[name].evidence}"
    assert found[name].advice
    assert name not in passed
    held_out = {"pass@1 rose on held-out problems", "still solves what it used to"}  # these two come together
    assert set(found) == {name} or set(found) <= held_out


def test_a_run_of_which_nothing_is_known_yet_is_unfinished_and_nothing_else():
    checked = concerns(record(updates=0, summary=None, before=None, after=None))
    assert list(checked.raised) == ["came to its end"]
    assert checked.passed == []


def test_metrics_that_were_not_logged_raise_nothing():
    metrics = [{"step": n, "accuracy": 0.5} for n in range(1, 9)]
    checked = concerns(replace(record(), updates=metrics))
    assert checked.raised == {}
    held_out = ["pass@1 rose on held-out problems", "still solves what it used to"]
    assert checked.passed == ["came to its end", "loss and gradient are numbers", *held_out]


def test_what_was_not_measured_is_not_in_order():
    checked = concerns(record(before=None))
    assert checked.unknown == dict.fromkeys(
        ["pass@1 rose on held-out problems", "still solves what it used to"],
        "held-out problems were not measured before and after",
    )


def test_two_updates_say_nothing_of_a_trend():
    start, end = {"entropy": 0.8, "completions/mean_length": 9.0}, {"entropy": 0.1, "completions/mean_length": 90.0}
    checked = concerns(record(start, end, updates=2))
    assert checked.raised == {}
    trends = ["entropy did not collapse", "entropy did not explode", "length did not explode"]
    assert checked.unknown == dict.fromkeys(trends, "needs 10 updates or more")


def test_one_problem_says_neither_better_nor_worse():
    name = "pass@1 rose on held-out problems"
    assert concerns(record(before=rates(2), after=rates(1))).unknown[name] == "a single problem says nothing of others"
    worse = concerns(record(before=rates(*[2] * 20), after=rates(*[1] * 20))).raised[name].title
    assert worse == "The policy got WORSE on held-out problems"


def test_a_run_without_dynamic_sampling_had_no_batches_to_fill():
    checked = concerns(record(always={"sampling/filled_share": 0.5, "sampling/rounds": 1.0}))
    assert checked.unknown == {"batches were filled": "there was no dynamic sampling"}
    with_it = record(always={"sampling/filled_share": 0.5, "sampling/rounds": 1.0, "sampling/groups_from_surplus": 0.0})
    assert "batches were filled" in concerns(with_it).raised


def test_a_run_on_verl_is_advised_in_verl_s_names_and_only_our_verifier_calls_what_is_cut_wrong():
    config = {"engine": "verl", "data.max_response_length": 300}
    run = record(end={"completions/clipped_ratio": 0.4}, config=config, summary=None)
    raised = concerns(run).raised
    cut = raised["few responses are cut off"]
    assert cut.evidence == "They reach the limit of 300 tokens."
    assert (
        cut.advice == "Raise data.max_response_length, or punish length before the limit with verl's overlong buffer."
    )
    assert "the same command does" in raised["came to its end"].advice
    judged = record(end={"completions/clipped_ratio": 0.4}, always={"verifier/truncated_share": 0.4}, config=config)
    assert "count as wrong" in concerns(judged).raised["few responses are cut off"].evidence
