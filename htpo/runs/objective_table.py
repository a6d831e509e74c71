"""The objective in force, as `objective.json` of a run holds it: its groups as data, and how they read in words."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Group:
    """Tokens that the objective treats alike, and how."""

    name: str | None  # "G1", "G2", ...; None: all tokens
    levels: Mapping[str, str]  # by axis
    rule: str
    rule_options: Mapping[str, float]
    detach: Mapping[str, Any] | None  # `end` ("lowest", "highest"), `fraction`, `scope` ("response", "turn", "batch")
    meaning: str  # of the rule, in plain words; empty where a rule has none
    weight: float = 1.0
    clip_low: float | None = None  # None: the objective's
    clip_high: float | None = None

    @property
    def rule_text(self) -> str:
        """ "ppo, lowest 0.6 % detached per response"."""
        text = self.rule.replace("_", " ")
        if self.rule_options:
            text += f" ({', '.join(f'{name} {value:g}' for name, value in self.rule_options.items())})"
        if self.detach:
            text += f", {self.detach['end']} {100 * self.detach['fraction']:g} % detached per {self.detach['scope']}"
        for name, end in (("clip_low", self.clip_low), ("clip_high", self.clip_high)):
            text += "" if end is None else f", {name} {end:g}"
        return text + ("" if self.weight == 1 else f", weight {self.weight:g}")

    @property
    def plain_words(self) -> str:
        """What is done with these tokens, for readers who do not know the method; empty where a rule has no words."""
        if not self.meaning or not self.detach:
            return self.meaning + self._weight_in_words
        whose = {"response": "an answer's", "turn": "a turn's"}.get(self.detach["scope"], "all")
        sure = "most" if self.detach["end"] == "lowest" else "least"
        share = f"{100 * self.detach['fraction']:g} %"
        return (
            f"{self.meaning}; but leave out the {share} of {whose} tokens it was {sure} sure of{self._weight_in_words}"
        )

    @property
    def _weight_in_words(self) -> str:
        return "" if self.weight == 1 or not self.meaning else f"; with weight {self.weight:g}"


@dataclass(frozen=True)
class ObjectiveTable:
    """An objective and its groups, in order. A run of an earlier version has the name and options alone."""

    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""  # in plain words
    groups: tuple[Group, ...] = ()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ObjectiveTable":
        """From what `TableObjective.describe` gives.

        Raises:
            KeyError, TypeError: a group is not as it gives them.
        """
        return cls(
            name=content.get("name"),
            options=content.get("options") or {},
            summary=content.get("summary", ""),
            groups=tuple(Group(**group) for group in content.get("groups", ())),
        )

    @property
    def labels(self) -> dict[str, str]:
        """The groups by name, with their levels: "G1 hard correct low". Empty where all tokens are treated alike."""
        return {group.name: " ".join([group.name, *self._levels(group)]) for group in self.groups if group.name}

    @property
    def lines(self) -> list[str]:
        """The table for a terminal, a line per group."""
        return [f"{self.tokens_of(group)}: {group.rule_text}" for group in self.groups]

    def tokens_of(self, group: Group) -> str:
        """Which tokens are in a group: "G1 hard / correct / low"."""
        return f"{group.name} {' / '.join(self._levels(group))}" if group.name else "all tokens"

    def _levels(self, group: Group) -> list[str]:
        """A group's levels, as `axis=level` where another axis has a level of that name."""
        return [level if self._count[level] == 1 else f"{axis}={level}" for axis, level in group.levels.items()]

    @cached_property
    def _count(self) -> Counter[str]:
        """How many axes have a level of a name."""
        return Counter(level for _, level in {pair for group in self.groups for pair in group.levels.items()})


def options_in_words(options: Mapping[str, Any]) -> str:
    """Options that are set, in a line; those of several values as flags write them."""
    return ", ".join(f"{name} {_in_words(value)}" for name, value in options.items() if value is not None)


def _in_words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
