"""The objectives equal an independent float64 oracle, token by token, on batches in which every branch acts."""

from dataclasses import asdict, replace
from itertools import product

import pytest
import torch

from htpo.objectives import TokenBatch, make_objective, token_mean
from tests.objectives import oracle
from tests.objectives.oracle import Options
from tests.objectives.samples import as_responses, evaluate, fields_of, random_batch

SEEDS = (0, 1)
TURNS = 2
LENGTHS = [0, 1, 2, 3, 4, 5, 60, 59, *range(7, 60)] * 2
OPTIONS = {
    "paper": Options(),
    "release": Options(variant="release"),
    "paper, batch quantiles": Options(entropy_scope="batch"),
    "release, batch quantiles": Options(variant="release", entropy_scope="batch"),
    "paper, turn quantiles": Options(entropy_scope="turn"),
    "release, turn quantiles, more detached": Options(
        variant="release", entropy_scope="turn", detach_lowest=0.3, detach_highest=0.3
    ),
    "other options": Options(
        clip_low=0.1,
        clip_high=0.6,
        dual_clip=3.0,
        difficulty_threshold=0.8,
        high_entropy_fraction=0.37,
        detach_lowest=0.15,
        detach_highest=0.3,
    ),
    "other options, release, batch quantiles": Options(
        variant="release",
        clip_low=0.3,
        clip_high=0.2,
        dual_clip=1.1,
        difficulty_threshold=0.1,
        high_entropy_fraction=0.5,
        detach_lowest=0.08,
        detach_highest=0.11,
        entropy_scope="batch",
    ),
    "no dual clip, nothing detached": Options(dual_clip=None, detach_lowest=0.0, detach_highest=0.0),
    "dual clip inside the clip range": Options(dual_clip=1.1),
}
TOLERANCE = {
    torch.float64: {"rtol": 1e-12, "atol": 1e-13},
    torch.float32: {"rtol": 5e-6, "atol": 1e-7},
    torch.bfloat16: {"rtol": 5e-6, "atol": 1e-7},  # computed in float32; only the gradient is rounded to bfloat16
}


def assert_equals_oracle(objective, batch: TokenBatch, expected: list[list[oracle.Token]]) -> None:
    def tensor(name: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([[getattr(t, name) for t in row] for row in expected], dtype=dtype)

    out, gradient = evaluate(objective, batch)
    dtype, tolerance = out.value.dtype, TOLERANCE[batch.log_prob.dtype]
    assert dtype == (torch.float64 if batch.log_prob.dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(out.value, tensor("value", dtype), **tolerance)
    torch.testing.assert_close(out.slope, tensor("gradient", dtype), **tolerance)
    rounded = {"rtol": 2**-8, "atol": 1e-7} if batch.log_prob.dtype == torch.bfloat16 else tolerance
    torch.testing.assert_close(gradient, tensor("gradient", batch.log_prob.dtype), **rounded)
    advantage = batch.advantage if batch.advantage.dim() == 2 else batch.advantage.unsqueeze(1)
    torch.testing.assert_close(out.weight * advantage.to(dtype) * batch.mask, out.slope, **tolerance)
    if out.group is not None:
        assert torch.equal(out.group, tensor("group", torch.int8))
        assert torch.equal(out.detached, tensor("detached", torch.bool))


@pytest.mark.parametrize("per_token_advantage", [False, True], ids=["(B,)", "(B, T)"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_htpo_equals_the_oracle(options, dtype, per_token_advantage):
    for seed in SEEDS:
        batch = random_batch(seed, LENGTHS, dtype=dtype, per_token_advantage=per_token_advantage, turns=TURNS)
        expected = oracle.htpo_tokens(as_responses(batch), options)
        assert_equals_oracle(make_objective("htpo", **asdict(options)), batch, expected)


@pytest.mark.parametrize("scope", ["response", "turn", "batch"])
def test_htpo_equals_the_oracle_where_many_entropies_tie(scope):
    options = Options(entropy_scope=scope, detach_lowest=0.3, detach_highest=0.3)
    for seed, distinct in product(SEEDS, (1, 2, 5)):
        batch = random_batch(seed, LENGTHS, distinct_entropies=distinct, turns=9)
        expected = oracle.htpo_tokens(as_responses(batch), options)
        assert_equals_oracle(make_objective("htpo", **asdict(options)), batch, expected)


@pytest.mark.parametrize("per_token_advantage", [False, True], ids=["(B,)", "(B, T)"])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("dapo", {}, Options()),
        ("dapo", {"clip_low": 0.1, "clip_high": 0.5, "dual_clip": 3.0}, Options(None, 0.1, 0.5, 3.0)),
        ("dapo", {"dual_clip": None}, Options(dual_clip=None)),
        ("grpo", {}, Options(clip_high=0.2, dual_clip=None)),
        ("grpo", {"dual_clip": 2.0}, Options(clip_high=0.2, dual_clip=2.0)),
        ("ppo", {}, Options(clip_high=0.2, dual_clip=None)),
    ],
)
def test_the_baselines_equal_the_oracle(name, given, meant, dtype, per_token_advantage):
    for seed in SEEDS:
        batch = random_batch(seed, LENGTHS, dtype=dtype, per_token_advantage=per_token_advantage)
        expected = oracle.ppo_tokens(as_responses(batch), meant)
        assert_equals_oracle(make_objective(name, **given), batch, expected)


def test_non_contiguous_inputs_give_the_same():
    batch = random_batch(3, LENGTHS, per_token_advantage=True, turns=TURNS)
    strided = {name: torch.stack([x, x], -1)[..., 0] for name, x in fields_of(batch).items()}
    transposed = {name: x.t().contiguous().t() for name, x in fields_of(batch).items() if x.dim() == 2}
    expected = oracle.htpo_tokens(as_responses(batch), Options())
    per_turn = oracle.htpo_tokens(as_responses(batch), Options(entropy_scope="turn"))
    for fields in (strided, transposed):
        assert not any(x.is_contiguous() for x in fields.values())
        assert_equals_oracle(make_objective("htpo"), replace(batch, **fields), expected)
        assert_equals_oracle(make_objective("htpo", entropy_scope="turn"), replace(batch, **fields), per_turn)


@pytest.mark.parametrize("name", ["htpo", "dapo"])
def test_torch_s_default_dtype_does_not_matter(name):
    batch = random_batch(7, LENGTHS, dtype=torch.float32)
    responses = as_responses(batch)
    expected = (oracle.htpo_tokens if name == "htpo" else oracle.ppo_tokens)(responses, Options(dual_clip=3.3))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)  # as while a model is built in bfloat16
    try:
        assert_equals_oracle(make_objective(name, dual_clip=3.3), batch, expected)
    finally:
        torch.set_default_dtype(before)


def test_an_advantage_of_one_column_is_that_of_the_response():
    batch = random_batch(4, LENGTHS)
    expected = oracle.htpo_tokens(as_responses(batch), Options())
    column = replace(batch, advantage=batch.advantage.unsqueeze(1))
    assert_equals_oracle(make_objective("htpo"), column, expected)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_loss_equals_the_oracle_s(dtype):
    batch = random_batch(5, LENGTHS, dtype=dtype)
    options = Options(dual_clip=3.0)
    responses = as_responses(batch)
    expected = oracle.token_mean(oracle.htpo_tokens(responses, options), responses)
    out = make_objective("htpo", dual_clip=3.0)(batch)
    assert out.value.abs().max() > 1
    assert token_mean(out.value, batch.mask).item() == pytest.approx(expected, rel=1e-5)


def branches_seen(options: Options, per_token_advantage: bool) -> set[tuple[int, str, int, bool]]:
    seen = set()
    for seed in SEEDS:
        responses = as_responses(random_batch(seed, LENGTHS, per_token_advantage=per_token_advantage, turns=TURNS))
        tokens = [t for row in oracle.htpo_tokens(responses, options) for t in row]
        seen |= {(t.group, t.region, t.sign, t.capped) for t in tokens if t.group and not t.detached}
    return seen


@pytest.mark.parametrize("per_token_advantage", [False, True], ids=["(B,)", "(B, T)"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_samples_reach_every_branch_there_is(options, per_token_advantage):
    """Every group x region x sign of the advantage x dual clip binding or not, but for what cannot be.

    Which combinations can occur follows from what r's coefficient can be there and the dual clip c, by hand.
    """
    c = float("inf") if options.dual_clip is None else options.dual_clip
    low, high = 1 - options.clip_low, 1 + options.clip_high
    release = options.variant == "release"
    ends = {"below": (2e-9, low), "inside": (low, high), "above": (high, 4.8e8)}
    expected = set()
    for group, (region, (least, most)) in product(range(1, 9), ends.items()):
        expected.add((group, region, 1, False))
        if region == "below":
            if group == 2:
                least, most = (1 / low, 4.8e8)
            else:
                least = most = low
        if region == "above" and group == 2:
            least = most = high
        if release and ((group == 2 and region != "inside") or (group in (4, 8) and region == "below")):
            least, most = -most, -least
        if least < c:
            expected.add((group, region, -1, False))
        if most > c:
            expected.add((group, region, -1, True))
    assert branches_seen(options, per_token_advantage) == expected
    assert len(expected) >= 40


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_the_samples_detach_what_the_options_can_detach(options):
    detached = set()
    for seed in SEEDS:
        tokens = oracle.htpo_tokens(as_responses(random_batch(seed, LENGTHS, turns=TURNS)), options)
        detached |= {t.group for row in tokens for t in row if t.detached}
    short = (
        options.entropy_scope in ("response", "turn") and options.detach_lowest == 0.006
    )  # k1 = 1 and a strict comparison
    expected = ({1} if options.detach_lowest and not short else set()) | ({6} if options.detach_highest else set())
    assert detached == expected


def test_the_two_variants_differ_exactly_at_the_clipped_tokens_of_g2_g4_and_g8():
    batch = random_batch(6, LENGTHS)
    paper, release = (make_objective("htpo", variant=v, dual_clip=None)(batch) for v in ("paper", "release"))
    tokens = oracle.htpo_tokens(as_responses(batch), Options(dual_clip=None))
    flipped = [
        [(t.group == 2 and t.region != "inside") or (t.group in (4, 8) and t.region == "below") for t in row]
        for row in tokens
    ]
    sign = 1 - 2 * torch.tensor(flipped).double()
    assert (sign < 0).any()
    torch.testing.assert_close(release.value, sign * paper.value)
    torch.testing.assert_close(release.slope, sign * paper.slope)
