"""An objective is a table: what HTPO's says, and that DAPO is what is left when its rules are set aside."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from htpo.objectives import OBJECTIVES, TableObjective, make_objective, sequence_mean, token_mean
from htpo.objectives import rules as rule
from htpo.objectives.aggregation import fixed_length_mean
from htpo.objectives.axes import Correctness, Difficulty, Entropy
from htpo.objectives.table import Cell, Detach
from htpo.runs import ObjectiveTable
from tests.objectives import oracle
from tests.objectives.oracle import Options
from tests.objectives.samples import as_responses, evaluate, fields_of, random_batch

LENGTHS = [0, 1, 2, *range(3, 40)] * 2


def lines(name: str, **options) -> list[str]:
    return ObjectiveTable.from_json(make_objective(name, **options).describe()).lines


def test_htpo_s_table_has_the_eight_cells_of_the_specification_in_order():
    assert make_objective("htpo").cells == [
        (("hard", "correct", "low"), Cell(rule.ppo, Detach("lowest", 0.006, "response"))),
        (("hard", "correct", "high"), Cell(rule.encourage_forking)),
        (("hard", "wrong", "low"), Cell(rule.ppo)),
        (("hard", "wrong", "high"), Cell(rule.penalise_forking)),
        (("easy", "correct", "low"), Cell(rule.ppo)),
        (("easy", "correct", "high"), Cell(rule.ppo, Detach("highest", 0.02, "response"))),
        (("easy", "wrong", "low"), Cell(rule.ppo)),
        (("easy", "wrong", "high"), Cell(rule.penalise_forking)),
    ]


def test_the_release_variant_differs_in_the_rules_of_g2_g4_and_g8_alone():
    paper, release = (make_objective("htpo", variant=variant).cells for variant in ("paper", "release"))
    assert [i for i, cells in enumerate(zip(paper, release), 1) if cells[0] != cells[1]] == [2, 4, 8]
    assert release[1][1] == Cell(rule.encourage_forking_release)
    assert release[3][1] == release[7][1] == Cell(rule.penalise_forking_release)


def test_the_description_has_a_line_per_group():
    assert lines("htpo") == [
        "G1 hard / correct / low: ppo, lowest 0.6 % detached per response",
        "G2 hard / correct / high: encourage forking",
        "G3 hard / wrong / low: ppo",
        "G4 hard / wrong / high: penalise forking",
        "G5 easy / correct / low: ppo",
        "G6 easy / correct / high: ppo, highest 2 % detached per response",
        "G7 easy / wrong / low: ppo",
        "G8 easy / wrong / high: penalise forking",
    ]
    assert lines("dapo") == ["all tokens: ppo"]
    assert lines("htpo", variant="release")[1].endswith("encourage forking release")
    assert lines("htpo", detach_lowest=0)[0] == "G1 hard / correct / low: ppo"


def test_every_objective_says_how_it_is_aggregated_and_what_belongs_to_it():
    said = {name: make_objective(name) for name in OBJECTIVES}
    assert {n for n, o in said.items() if o.aggregate is sequence_mean} == {"grpo", "gspo", "sapo"}
    assert {n for n, o in said.items() if o.aggregate is fixed_length_mean} == {"dr_grpo"}
    by_token = {"htpo", "dapo", "ppo", "reinforce", "cispo", "entropy_mask", "clip_cov", "kl_cov", "bapo"}
    assert {n for n, o in said.items() if o.aggregate is token_mean} == by_token
    as_dapo = {"htpo", "dapo", "cispo", "entropy_mask"}
    assert {n for n, o in said.items() if o.dynamic_sampling} == as_dapo | {"clip_cov", "kl_cov"}
    assert {n for n, o in said.items() if o.overlong_shaping} == as_dapo
    assert {n for n, o in said.items() if o.scale_rewards == "none"} == {"dr_grpo"}
    assert [o.name for o in said.values()] == list(said)


def test_only_batch_quantiles_need_the_whole_batch():
    by_batch = {name for name in OBJECTIVES if make_objective(name).takes_batch_quantiles}
    assert by_batch == {"entropy_mask", "clip_cov", "kl_cov", "bapo"}
    assert make_objective("htpo", entropy_scope="batch").takes_batch_quantiles
    by_detach_alone = replace(
        make_objective("dapo"),
        axes=(Correctness(),),
        table={("correct",): Cell(rule.ppo, Detach("highest", 0.1, "batch")), ("wrong",): Cell(rule.ppo)},
    )
    assert by_detach_alone.takes_batch_quantiles


def without_forking_rules(objective: TableObjective) -> TableObjective:
    return replace(objective, table=dict.fromkeys(objective.table, Cell(rule.ppo)))


@pytest.mark.parametrize(
    "options", [{}, {"entropy_scope": "batch", "detach_lowest": 0.1}, {"dual_clip": None, "clip_high": 0.5}], ids=str
)
def test_htpo_with_its_forking_rules_set_aside_is_dapo_token_for_token(options):
    batch = random_batch(0, LENGTHS)
    shared = {name: x for name, x in options.items() if "clip" in name}
    htpo, dapo = make_objective("htpo", **options), make_objective("dapo", **shared)
    (bare, bare_gradient), (base, base_gradient) = evaluate(without_forking_rules(htpo), batch), evaluate(dapo, batch)
    assert torch.equal(bare.value, base.value)
    assert torch.equal(bare.weight, base.weight)
    assert torch.equal(bare_gradient, base_gradient)
    assert torch.equal(bare.group, htpo(batch).group)
    assert not bare.detached.any()
    full = htpo(batch)
    differing = set(full.group[full.value != base.value].tolist())
    assert differing == ({1, 2, 4, 6, 8} if "entropy_scope" in options else {2, 4, 6, 8})


def test_dapo_equals_ppo_s_clip_written_with_autograd():
    batch = random_batch(1, LENGTHS)
    out, gradient = evaluate(make_objective("dapo"), batch)
    leaf = batch.log_prob.clone().requires_grad_()
    ratio = (leaf - batch.old_log_prob).clamp(-20, 20).exp()
    advantage = batch.advantage.unsqueeze(1)
    value = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.28) * advantage)
    value = torch.where(advantage < 0, torch.maximum(value, 10 * advantage), value) * batch.mask
    (expected,) = torch.autograd.grad(value.sum(), leaf)
    torch.testing.assert_close(out.value, value)
    torch.testing.assert_close(gradient, expected)


def test_groups_are_small_integers_and_none_where_there_is_no_partition():
    batch = random_batch(0, LENGTHS)
    out = make_objective("htpo")(batch)
    assert out.group.dtype == torch.int8
    assert out.detached.dtype == torch.bool
    assert out.group.shape == batch.mask.shape
    assert torch.equal(out.group > 0, batch.mask)
    assert set(out.group.unique().tolist()) == set(range(9))
    for name in ("dapo", "grpo", "ppo"):
        plain = make_objective(name)(batch)
        assert plain.group is None
        assert plain.detached is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("scope", ["response", "batch"])
def test_the_partition_alone_is_that_of_the_objective(scope, dtype):
    batch = random_batch(0, LENGTHS, dtype=dtype)
    batch = replace(batch, entropy=batch.entropy.masked_fill(~batch.mask, torch.nan))
    objective = make_objective("htpo", entropy_scope=scope)
    part, out = objective.partition(batch), objective(batch)
    assert torch.equal(part.group, out.group)
    assert torch.equal(part.detached, out.detached)


@pytest.mark.parametrize("name", ["htpo", "dapo", "grpo", "ppo"])
def test_training_on_the_loss_of_the_readme_s_example_works(name):
    batch = random_batch(0, LENGTHS, dtype=torch.float32)
    logits = torch.zeros(*batch.mask.shape, 5, requires_grad=True)
    log_prob = logits.log_softmax(-1)[..., 0]
    out = make_objective(name)(replace(batch, log_prob=log_prob, old_log_prob=log_prob.detach()))
    loss = token_mean(-out.value, batch.mask)
    loss.backward()
    tokens = batch.mask.sum()
    chosen = logits.grad[..., 0]
    attached = batch.mask if out.detached is None else batch.mask & ~out.detached
    expected = -0.8 * attached * batch.advantage.unsqueeze(1) / tokens  # d log softmax = 1 - 1/5
    torch.testing.assert_close(chosen, expected)


def test_a_result_is_not_changed_by_a_later_call_or_by_reading_its_statistics():
    objective = make_objective("htpo")
    batch = random_batch(0, LENGTHS)
    before = {name: x.clone() for name, x in fields_of(batch).items()}
    first = objective(batch)
    kept = first.value.clone(), first.weight.clone(), first.slope.clone()
    first.stats, objective(batch).stats
    for now, then in zip((first.value, first.weight, first.slope), kept):
        assert torch.equal(now, then)
    for name, x in before.items():
        assert torch.equal(getattr(batch, name), x), name


def test_a_table_of_one_s_own_axes_numbers_its_groups_in_the_order_of_their_product():
    """One group's rule alone, on fewer axes and in another order."""
    axes = (Entropy(0.5, "response"), Difficulty(0.4))
    table = dict.fromkeys(product(*(axis.levels for axis in axes)), Cell(rule.ppo))
    table["high", "hard"] = Cell(rule.encourage_forking)
    objective = replace(make_objective("dapo"), axes=axes, table=table)
    batch = random_batch(2, LENGTHS)
    out = objective(batch)
    reference = oracle.htpo_tokens(as_responses(batch), Options(high_entropy_fraction=0.5))
    own = {0: 0, 1: 1, 3: 1, 5: 2, 7: 2, 2: 3, 4: 3, 6: 4, 8: 4}  # (low, hard), (low, easy), (high, hard), (high, easy)
    assert out.group.tolist() == [[own[token.group] for token in row] for row in reference]
    assert [name for name in out.stats if name.endswith("token_share")] == [
        f"group/G{number}/token_share" for number in range(1, 5)
    ]
    dapo = make_objective("dapo")(batch)
    assert set(out.group[out.value != dapo.value].tolist()) == {3}
