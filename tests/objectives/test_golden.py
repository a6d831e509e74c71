"""Numbers computed by hand, and the paper's definitions where rounding could bend them."""

import math
from fractions import Fraction

import pytest
import torch

from htpo.objectives import TokenBatch, make_objective, token_mean
from tests.objectives.samples import evaluate

# What makes a response of one token, which is always high-entropy, fall into a group.
HIGH_GROUPS = {2: (0.25, True), 4: (0.25, False), 6: (0.75, True), 8: (0.75, False)}


def response(ratios, advantage, entropies, *, accuracy, correct) -> TokenBatch:
    """One response whose tokens have the given ratios."""
    old = torch.full((1, len(ratios)), -1.5, dtype=torch.float64)
    return TokenBatch(
        log_prob=old + torch.tensor([ratios], dtype=torch.float64).log(),
        old_log_prob=old,
        advantage=torch.tensor([advantage], dtype=torch.float64),
        entropy=torch.tensor([entropies], dtype=torch.float64),
        mask=torch.ones(1, len(ratios), dtype=torch.bool),
        correct=torch.tensor([correct]),
        group_accuracy=torch.tensor([accuracy], dtype=torch.float64),
    )


def one_token(group: int, ratio: float, advantage: float) -> TokenBatch:
    """A token of one of the high-entropy groups."""
    accuracy, correct = HIGH_GROUPS[group]
    return response([ratio], advantage, [1.0], accuracy=accuracy, correct=correct)


@pytest.mark.parametrize(
    ("variant", "group", "ratio", "advantage", "value", "loss_gradient"),
    [
        # SPEC 3.1, measured on the release
        ("paper", 2, 1.5, 1.0, 1.28, -1.28),
        ("release", 2, 1.5, 1.0, -1.28, 1.28),
        ("paper", 2, 0.5, 1.0, 2.0, -2.0),
        ("release", 2, 0.5, 1.0, -2.0, 2.0),
        ("paper", 4, 0.5, -1.0, -0.8, 0.8),
        ("release", 4, 0.5, -1.0, 0.8, -0.8),
        ("paper", 8, 0.5, -1.0, -0.8, 0.8),
        ("release", 8, 0.5, -1.0, 0.8, -0.8),
        # inside the clip range all is r A, in both variants
        ("paper", 2, 1.25, 2.0, 2.5, -2.5),
        ("release", 2, 1.25, 2.0, 2.5, -2.5),
        ("paper", 4, 0.9, -2.0, -1.8, 1.8),
        ("release", 8, 0.9, -2.0, -1.8, 1.8),
        # above the range G4 and G8 are r A whatever the sign
        ("paper", 4, 3.0, -1.0, -3.0, 3.0),
        ("release", 8, 3.0, 1.0, 3.0, -3.0),
        # G2 has no minimum with r A: negative advantages go through the same branches
        ("paper", 2, 1.5, -1.0, -1.28, 1.28),
        ("paper", 2, 0.5, -1.0, -2.0, 2.0),
        # dual clip: J is at least 10 A, and constant there
        ("paper", 4, 12.0, -1.0, -10.0, 0.0),
        ("paper", 2, 0.05, -1.0, -10.0, 0.0),  # 1 / r = 20
        ("release", 2, 0.05, -1.0, 20.0, -20.0),  # the flipped branch is above the bound
        ("paper", 2, 0.05, 1.0, 20.0, -20.0),  # nothing bounds it where A > 0
        ("paper", 4, 9.5, -1.0, -9.5, 9.5),
        # G6's only token is its most uncertain one: detached
        ("paper", 6, 1.0, 1.0, 0.0, 0.0),
        # beyond |log r| = 20 the ratio is constant, but pi/sg[pi] is not
        ("paper", 4, math.exp(21), 1.0, math.exp(20), 0.0),
        ("paper", 4, math.exp(-21), -1.0, -0.8, 0.8),
        ("paper", 2, math.exp(-21), 1.0, math.exp(20), -math.exp(20)),
    ],
)
def test_a_forking_token_has_the_value_and_gradient_of_the_specification(
    variant, group, ratio, advantage, value, loss_gradient
):
    out, gradient = evaluate(make_objective("htpo", variant=variant), one_token(group, ratio, advantage))
    assert out.group.tolist() == [[group]]
    assert out.value.item() == pytest.approx(value, rel=1e-6)  # no sharper: the precision is the oracle's business
    assert -gradient.item() == pytest.approx(loss_gradient, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "ratio", "advantage", "value", "gradient"),
    [
        ("dapo", 1.5, 1.0, 1.28, 0.0),
        ("dapo", 1.5, -1.0, -1.5, -1.5),
        ("dapo", 0.5, 1.0, 0.5, 0.5),
        ("dapo", 0.5, -1.0, -0.8, 0.0),
        ("dapo", 1.25, 1.0, 1.25, 1.25),
        ("dapo", 12.0, -1.0, -10.0, 0.0),
        ("grpo", 1.25, 1.0, 1.2, 0.0),
        ("grpo", 12.0, -1.0, -12.0, -12.0),
        ("ppo", 1.25, 1.0, 1.2, 0.0),
        ("ppo", 0.5, -2.0, -1.6, 0.0),
    ],
)
def test_a_baseline_s_token_has_the_value_and_gradient_of_ppo_s_clip(name, ratio, advantage, value, gradient):
    out, actual = evaluate(make_objective(name), one_token(2, ratio, advantage))
    assert out.value.item() == pytest.approx(value, rel=1e-6)
    assert actual.item() == pytest.approx(gradient, rel=1e-6)


def test_the_token_mean_of_a_response_is_the_mean_of_its_values():
    batch = response([0.5, 1.0, 1.5], 1.0, [3.0, 2.0, 1.0], accuracy=0.25, correct=True)
    out = make_objective("htpo")(batch)
    assert out.group.tolist() == [[2, 1, 1]]
    assert out.value.tolist() == [pytest.approx([2.0, 1.0, 1.28], rel=1e-6)]
    assert token_mean(-out.value, batch.mask).item() == pytest.approx(-4.28 / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("n", "n_low", "detached"),
    [(10, 8, 0), (415, 332, 0), (420, 336, 1), (625, 500, 2), (1250, 1000, 5)],
    ids=str,
)
def test_g1_detaches_the_tokens_strictly_below_the_k_th_lowest_entropy(n, n_low, detached):
    """k1 = max(floor(0.006 n_low), 1), and a strict comparison leaves k1 - 1 of distinct entropies."""
    entropies = torch.randperm(n, generator=torch.Generator().manual_seed(n)).double()
    out = make_objective("htpo")(response([1.0] * n, 1.0, entropies.tolist(), accuracy=0.25, correct=True))
    assert (out.group == 1).sum() == n_low
    assert torch.equal(out.detached, entropies.unsqueeze(0) < detached)
    assert torch.equal(out.value, 1.0 - out.detached.double())


@pytest.mark.parametrize(
    ("n", "n_high", "detached"), [(1, 1, 1), (15, 3, 1), (495, 99, 1), (500, 100, 2), (750, 150, 3)], ids=str
)
def test_g6_detaches_the_tokens_at_or_above_the_k_th_highest_entropy(n, n_high, detached):
    """k2 = max(floor(0.02 n_high), 1): of a short response's three forking tokens, one."""
    entropies = torch.randperm(n, generator=torch.Generator().manual_seed(n)).double()
    out = make_objective("htpo")(response([1.0] * n, 1.0, entropies.tolist(), accuracy=0.75, correct=True))
    assert (out.group == 6).sum() == n_high
    assert torch.equal(out.detached, entropies.unsqueeze(0) >= n - detached)
    assert torch.equal(out.value, 1.0 - out.detached.double())


@pytest.mark.parametrize(
    ("fraction", "n"),
    [(0.2, n) for n in range(1, 101)]
    + [
        (0.29, 100),
        (0.57, 100),
        (0.58, 50),
        (0.07, 100),
        (0.53, 100),
        (0.59, 100),
        (0.84, 75),
        (0.3, 10),
        (0.7, 10),
        (0.1, 30),
        (1.0, 7),
    ],
)
@pytest.mark.parametrize("scope", ["response", "batch"])
def test_exactly_the_floored_fraction_of_tokens_is_high(fraction, n, scope):
    exact = max(math.floor(Fraction(str(fraction)) * n), 1)
    batch = response([1.0] * 2 * n, 1.0, [float(i) for i in range(2 * n)], accuracy=0.25, correct=True)
    batch.mask[0, n:] = False  # as many padded as there are tokens
    objective = make_objective("htpo", high_entropy_fraction=fraction, entropy_scope=scope)
    assert objective(batch).group.tolist() == [[1] * (n - exact) + [2] * exact + [0] * n]


def test_some_of_these_fractions_round_the_other_way_in_floating_point():
    assert math.floor(0.29 * 100) == 28
    assert math.floor(0.57 * 100) == 56
    assert math.floor(0.58 * 50) == 28
    for fraction, n, exact in ((0.53, 100, 53), (0.59, 100, 59), (0.84, 75, 63)):  # in float32
        assert (torch.tensor(n) * fraction).long() == exact - 1


def hard(accuracy: torch.Tensor, threshold: float) -> list[bool]:
    rows = accuracy.shape[0]
    ones = torch.ones(rows, 1)
    right = torch.ones(rows, dtype=torch.bool)
    batch = TokenBatch(-ones, -ones, ones, ones, ones.bool(), right, accuracy)
    group = make_objective("htpo", difficulty_threshold=threshold)(batch).group[:, 0]
    assert set(group.tolist()) <= {2, 6}
    return (group == 2).tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_an_accuracy_of_exactly_three_fifths_is_easy_however_it_was_computed(dtype):
    ways = [
        torch.tensor(3 / 5, dtype=dtype),
        torch.tensor(3, dtype=dtype) / torch.tensor(5, dtype=dtype),
        1 - torch.tensor(0.4, dtype=dtype),
        torch.tensor([1, 1, 1, 0, 0], dtype=dtype).mean(),
        torch.tensor([1, 1, 0, 0, 1], dtype=torch.float32).mean().to(dtype),
        torch.tensor([1, 1, 1, 0, 0] * 4, dtype=torch.float64).mean().to(dtype),
        torch.tensor(0.2, dtype=dtype) * 3,
    ]
    assert hard(torch.stack(ways), 0.4) == [False] * len(ways)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0])
def test_a_prompt_is_hard_exactly_when_its_share_of_wrong_answers_exceeds_the_threshold(threshold, dtype):
    counts = [(right, samples) for samples in (2, 3, 4, 5, 8, 10, 16) for right in range(samples + 1)]
    accuracy = torch.tensor([right / samples for right, samples in counts], dtype=dtype)
    expected = [1 - Fraction(right, samples) > Fraction(str(threshold)) for right, samples in counts]
    assert hard(accuracy, threshold) == expected
