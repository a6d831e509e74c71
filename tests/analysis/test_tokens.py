"""The token table: what is high, hard and grouped, from rollouts with all columns or the least."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from htpo.analysis.token_text import restore_spaces, visible, words
from htpo.analysis.tokens import build, high_entropy, read_runs
from htpo.errors import UserError
from htpo.objectives import TokenBatch, make_objective
from htpo.runs import RunDirectory, RunRecord
from tests.analysis.finished_run import write_run


def rollouts(entropy, **columns):
    tokens = [[f" w{place}" for place in range(len(values))] for values in entropy]
    responses = ["".join(row) for row in tokens]
    return pa.table(
        {"prompt": ["p"] * len(entropy), "response": responses, "tokens": tokens, "entropy": entropy, **columns}
    )


def test_groups_are_those_of_the_objective():
    draw = np.random.default_rng(0)
    lengths = [1, 4, 5, 9, 10, 11, 40]
    entropy = [np.round(draw.random(n), 1).tolist() for n in lengths]  # rounded, so that there are ties
    correct = [True, False, True, False, True, False, True]
    accuracy = [0.6, 0.6, 3 / 5, 0.59, 0.4, 0.0, 1.0]
    stored = [float(np.float32(value)) for value in accuracy]
    table = build(rollouts(entropy, correct=correct, group_accuracy=stored), {})
    mask = torch.arange(40) < torch.tensor(lengths)[:, None]
    padded = torch.zeros(7, 40, dtype=torch.float64)
    for row, values in enumerate(entropy):
        padded[row, : len(values)] = torch.tensor(values)
    zeros = torch.zeros(7, 40, dtype=torch.float64)
    batch = TokenBatch(
        log_prob=zeros.clone().requires_grad_(),
        old_log_prob=zeros,
        advantage=torch.ones(7, dtype=torch.float64),
        entropy=padded,
        mask=mask,
        correct=torch.tensor(correct),
        group_accuracy=torch.tensor(accuracy, dtype=torch.float64),
    )
    expected = make_objective("htpo")(batch).group[mask]
    assert table.tokens["group"].tolist() == expected.tolist()
    assert not table.grouped_in_training
    assert table.groups["G6"] == "G6 easy correct high"


def test_ties_are_high_and_an_empty_response_has_no_tokens():
    entropy = np.array([0.5, 0.5, 0.1, 0.1, 0.2, 0.3])
    high = high_entropy(entropy, np.array([0] * 5 + [2]), np.array([5, 0, 1]))
    assert high.tolist() == [True, True, False, False, False, True]


def test_what_is_not_known_stays_unknown():
    table = build(rollouts([[0.1, 0.2]], correct=pa.array([None], pa.bool_())), {})
    assert table.responses["answer"].isna().all()
    assert table.responses["difficulty"].isna().all()
    assert table.tokens["weight"].isna().all()
    assert table.tokens["group"].tolist() == [0, 0]


def test_a_run_keeps_its_own_groups_and_runs_are_told_apart(tmp_path):
    runs = [RunRecord.read(write_run(tmp_path / str(seed), seed=seed, updates=6)) for seed in range(2)]
    table = read_runs(runs)
    assert table.grouped_in_training
    assert table.groups["G2"] == "G2 hard correct high"
    assert table.responses["prompt_id"].nunique() == 2 * 2 * 8  # runs x updates x prompts
    assert len(table.tokens) == table.responses["tokens"].sum()
    assert set(table.tokens["step"]) == {1, 6}


def test_rollouts_that_are_not_ours_are_refused(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({})
    run.write_rollouts(1, {"prompt": ["p"], "response": ["r"]})
    with pytest.raises(UserError, match="not as htpo writes them"):
        read_runs([RunRecord.read(run)])


@pytest.mark.parametrize(
    ("tokens", "response", "expected"),
    [
        ([" a", "b", "<eos>"], " ab", [" a", "b", "<eos>"]),
        (["Hence", "x", "=", "2"], "Hence x = 2", ["Hence", " x", " =", " 2"]),  # spaces lost in single decoding
        (["Ġso", "▁we", "ll"], " so well", [" so", " we", "ll"]),
        (
            ["a", "\ufffd", "\ufffd", "b", "c"],
            "a é b c",
            ["a", "\ufffd", "\ufffd", "b", " c"],
        ),  # bytes of one character
        (["q", "r"], "something else", ["q", "r"]),
    ],
)
def test_spaces_are_restored_from_the_response(tokens, response, expected):
    assert restore_spaces(tokens, response) == expected


def test_a_word_belongs_to_the_token_with_its_first_letter():
    found = list(words([" There", "fore", ",", " it", "'s", " x", "2", "<eos>"], len(" Therefore, it's x2")))
    assert found == [(0, "Therefore", True), (3, "it's", False), (5, "x", True)]


@pytest.mark.parametrize(
    ("token", "shown"),
    [(" a", " a"), (" ", "␣"), ("\n\n", "↵↵"), ("", "∅"), ("\x1b[0m", "\\u001b[0m"), ("\u202ea", "\\u202ea")],
)
def test_tokens_are_made_visible(token, shown):
    assert visible(token) == shown
