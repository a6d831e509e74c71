"""One verdict on a change, wherever it is said."""

import numpy as np
import pytest

from htpo.report.concerns import concerns
from htpo.report.content import _verdicts
from htpo.runs import ObjectiveTable, RunDirectory, RunRecord
from htpo.statistics import Difference, PassRates, change_in_words, direction


@pytest.mark.parametrize(
    ("change", "towards", "words"),
    [
        (Difference(0.3, 0.25, 0.35), 1, "pass@1 rose by 0.300 (95 % interval +0.250 to +0.350)"),
        (Difference(-0.3, -0.35, -0.25), -1, "pass@1 FELL by 0.300 (95 % interval -0.350 to -0.250)"),
        (
            Difference(0.01, -0.02, 0.04),
            0,
            "no change of pass@1 was shown: +0.010 (95 % interval -0.020 to +0.040); a rise of up to 0.040 or a fall "
            "of up to 0.020 could have been missed",
        ),
        (
            Difference(0.5, why="a single problem says nothing of others"),
            0,
            "pass@1 changed by +0.500; whether that is more than chance cannot be said: a single problem says nothing "
            "of others",
        ),
    ],
)
def test_it_says_what_was_seen_and_what_could_have_been_missed(change, towards, words):
    assert direction(change.to_json()) == towards
    assert change_in_words("pass@1", change.to_json()) == words


def test_the_end_of_training_and_the_report_never_disagree():
    """300 runs with small changes, of which the summary and the report called 11 differently."""
    draw = np.random.default_rng(0)
    said = {"rose": 0, "FELL": 0, "no change": 0}
    for _ in range(300):
        problems = draw.integers(8, 60)
        skill = draw.beta(1, 1, problems)
        after = np.clip(skill + draw.normal(draw.choice([-0.1, 0.0, 0.1]), 0.1, problems), 0, 1)
        first, last = (
            PassRates(8, tuple(draw.binomial(8, rate).tolist()), 20.0, 0.0, {}, ()) for rate in (skill, after)
        )
        run = RunRecord("run", RunDirectory("runs/x"), {}, {}, {}, ObjectiveTable(), [], {}, first, last)
        summary = change_in_words("pass@1", last.change_from(first, 1).to_json())
        assert _verdicts(run)[0].startswith(f"On held-out problems {summary}.")
        raised = concerns(run).raised.get("pass@1 rose on held-out problems")
        word = next(word for word in said if word in summary)
        said[word] += 1
        assert (raised is None) == (word == "rose")
        assert raised is None or summary in raised.evidence
    assert min(said.values()) > 20
