"""From which facts and things the command of an action follows, so that it is derived once for each of them."""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

TEMPLATES = 1024
OTHER_SOURCES = ("#", "context", "self")  # other rules, and what an expression could look into


@dataclass(frozen=True)
class Template:
    """What the command of an action is made from."""

    text: str

    @cached_property
    def predicates(self) -> frozenset[str] | None:
        """Those whose facts the command depends on; None where it may depend on anything."""
        if any(each in self.text for each in OTHER_SOURCES):
            return None
        return frozenset(re.findall(r"(\w+)\(", self.text))

    def mapping(self, action: Any) -> dict[Any, Any]:
        """Which thing is which, of those that the command depends on.

        A condition with a thing yet to be found takes none of the others, so that it depends on all.
        """
        given = {placeholder.name for placeholder in action.mapping}
        if self.predicates is None or not self._in_conditions <= given:
            return dict(action.mapping)
        return {placeholder: it for placeholder, it in action.mapping.items() if placeholder.name in self._words}

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(re.findall(r"\w+", self.text))

    @cached_property
    def _in_conditions(self) -> frozenset[str]:
        return frozenset(re.findall(r"(\w+)\s*:", self.text))


@lru_cache(TEMPLATES)
def template_of(text: str) -> Template:
    """The template, with all that is found out about it."""
    return Template(text)
