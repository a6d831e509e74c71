"""From a game's grammar to its sentences: most of the time of a step, as `textworld` parses each rule every time.

A good part of a reset, too: each episode of a game would parse all of its grammar.
"""

from copy import deepcopy
from functools import lru_cache
from typing import Any

from htpo.environments.alfworld.translation import GAMES

RULES = 8192


def remember_grammar() -> None:
    """Let `textworld` parse each grammar, rule and condition once, and copy of a context only what it changes."""
    from textworld.envs.pddl import logic, textgen

    parse = textgen._parse_and_convert

    @lru_cache(RULES)
    def parsed(text: str, rule_name: str) -> Any:
        return parse(text, rule_name=rule_name)

    def fresh(text: str, rule_name: str, **_: Any) -> Any:
        return deepcopy(parsed(text, rule_name))  # a context is put into what is derived

    class RememberedRule:
        """All that `textgen` asks of its `Rule`."""

        parse_conjunctive_query = staticmethod(lru_cache(RULES)(textgen.Rule.parse_conjunctive_query))

    logic._parse_and_convert = lru_cache(GAMES)(logic._parse_and_convert)  # what it gives is only read
    textgen._parse_and_convert = fresh
    textgen.Rule = RememberedRule
    textgen.copy_context = copy_context


def copy_context(context: dict[str, Any]) -> dict[str, Any]:
    """A context to be added to; what its entries name is never changed."""
    return {**context, "variables": dict(context["variables"]), "mapping": dict(context["mapping"])}
