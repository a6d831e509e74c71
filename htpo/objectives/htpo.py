"""HTPO: hierarchical token-level objective control (arXiv 2605.08283), the table of its Figure 1(b) as data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from htpo.objectives.aggregation import token_mean
from htpo.objectives.axes import SCOPES, Correctness, Difficulty, Entropy
from htpo.objectives.custom import Table, derive, load_plugin, make_axes, matching, override
from htpo.objectives.options import ClipHigh, ClipLow, DualClip, check_choice, check_clipping, check_fraction
from htpo.objectives.registry import register_objective
from htpo.objectives.rules import (
    encourage_forking,
    encourage_forking_release,
    penalise_forking,
    penalise_forking_release,
)
from htpo.objectives.table import Cell, Detach, TableObjective

AXES = ("difficulty", "correctness", "entropy")
FORKING_RULES = {
    "paper": (encourage_forking, penalise_forking),
    "release": (encourage_forking_release, penalise_forking_release),
}


@register_objective(
    source="HTPO, 2605.08283, Figure 1(b) and Table 1",
    equation="J of the rule of the token's group",
    differs={
        "dapo": "Only what some tokens optimise is different. Without axes (`axes: []`) it is `dapo`.",
        "entropy_mask": "It gives up no group of tokens. What becomes of the least sure ones depends on the problem "
        "and the answer; `entropy_mask` learns from all of them alike.",
    },
)
def htpo(
    *,
    variant: Annotated[
        str,
        '"paper", or "release" for the arithmetic of the authors\' code, which flips the sign of the clipped '
        "branches of G2, G4 and G8",
    ] = "paper",
    clip_low: ClipLow = 0.2,
    clip_high: ClipHigh = 0.28,
    dual_clip: DualClip = 10.0,
    difficulty_threshold: Annotated[float, "a problem is hard when 1 - its accuracy is above this"] = 0.4,
    high_entropy_fraction: Annotated[float, "share of tokens that count as high-entropy"] = 0.2,
    detach_lowest: Annotated[
        float, "share of G1's tokens, from the lowest entropy up, that are left out; 0 leaves out none"
    ] = 0.006,
    detach_highest: Annotated[
        float, "share of G6's tokens, from the highest entropy down, that are left out; 0 leaves out none"
    ] = 0.02,
    entropy_scope: Annotated[
        str,
        '"response" takes these shares within each answer (or episode), as in the paper; "turn" within each turn of '
        'an episode; "batch" over all tokens of the update, which keeps the meant shares for answers of any length',
    ] = "response",
    base: Annotated[
        str, "the rule that stands where the paper has PPO's clip: `ppo`, `gspo`, `cispo`, `sapo`, `reinforce`"
    ] = "ppo",
    axes: Annotated[
        Sequence[Any],
        "the axes in force, as names or `{name: options}`. Without one of the paper's, cells that differ in it alone "
        "merge, and take the base where their rules differ; with another, every cell is split",
    ] = AXES,
    only: Annotated[
        str | None,
        'the levels of one group, such as "hard correct high": its rule is applied, the others take the base. '
        "Where two axes have a level of one name, `axis=level` says which is meant",
    ] = None,
    cells: Annotated[dict[str, Any] | None, "rules for single cells, after everything else"] = None,
    plugin: Annotated[str | None, "a module to import first, which registers axes and rules of your own"] = None,
) -> TableObjective:
    """HTPO sorts every token of every answer by three questions (is the problem hard or easy for the policy, was the
    answer right or wrong, was the policy unsure at this token) and gives each of the eight groups a rule of its own, so
    that it explores where that helps and exploits where it can.

    `docs/objectives.md` says how its table is changed from a file: other axes, another base, one group alone, rules for
    single cells.
    """
    check_choice("variant", variant, FORKING_RULES)
    check_clipping(clip_low, clip_high, dual_clip)
    check_fraction("difficulty_threshold", difficulty_threshold, zero=True)
    check_fraction("high_entropy_fraction", high_entropy_fraction)
    check_fraction("detach_lowest", detach_lowest, zero=True)
    check_fraction("detach_highest", detach_highest, zero=True)
    check_choice("entropy_scope", entropy_scope, SCOPES)
    encourage, penalise = FORKING_RULES[variant]
    load_plugin(plugin)
    plain = Cell.of(base)
    low_detached = replace(plain, detach=Detach("lowest", detach_lowest, entropy_scope))
    high_detached = replace(plain, detach=Detach("highest", detach_highest, entropy_scope))
    paper_axes = (Difficulty(difficulty_threshold), Correctness(), Entropy(high_entropy_fraction, entropy_scope))
    table: Table = {
        ("hard", "correct", "low"): low_detached,  # G1
        ("hard", "correct", "high"): Cell(encourage),  # G2
        ("hard", "wrong", "low"): plain,  # G3
        ("hard", "wrong", "high"): Cell(penalise),  # G4
        ("easy", "correct", "low"): plain,  # G5
        ("easy", "correct", "high"): high_detached,  # G6
        ("easy", "wrong", "low"): plain,  # G7
        ("easy", "wrong", "high"): Cell(penalise),  # G8
    }
    own_options: dict[str, dict[str, Any]] = {
        "difficulty": {"threshold": difficulty_threshold},
        "entropy": {"fraction": high_entropy_fraction, "scope": entropy_scope},
    }
    chosen = make_axes(axes, own_options)
    table = derive(table, paper_axes, chosen, plain)
    if only is not None:
        alone = matching(table, chosen, "only", only)
        table = {levels: cell if levels in alone else plain for levels, cell in table.items()}
    return TableObjective(
        name="htpo",
        axes=chosen,
        table=override(table, chosen, cells or {}, entropy_scope),
        aggregate=token_mean,
        clip_low=clip_low,
        clip_high=clip_high,
        dual_clip=dual_clip,
        dynamic_sampling=True,
        overlong_shaping=True,
    )
