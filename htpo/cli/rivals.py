"""Which options of a recipe a flag replaces: its rivals, and those of a feature that the flag switches off."""

from typing import Any

from htpo.engines.option_rules import FEATURES

RIVALS = (("max_steps", "num_train_epochs"), ("warmup_steps", "warmup_ratio"))
"""Options that say the same thing in two ways."""


def without_rivals(recipe: dict[str, Any], flags: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe's options without those that `flags` replace or leave without effect.

    Returns:
        (the options kept, names of those left out). What the flags themselves say is never left out: rivals among them
        are refused where options are checked.
    """
    replaced = {
        other
        for pair in RIVALS
        for given, other in (pair, pair[::-1])
        if given in flags and other in recipe and other not in flags
    }
    for feature in FEATURES:
        if feature.switch in flags and not feature.is_on(flags[feature.switch]):
            replaced |= {name for name in feature.options if name in recipe and name not in flags}
    return {name: value for name, value in recipe.items() if name not in replaced}, sorted(replaced)
