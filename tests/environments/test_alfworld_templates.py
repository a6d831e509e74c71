"""What a command is taken to follow from: never less than it does."""

from types import SimpleNamespace
from typing import NamedTuple

import pytest

from htpo.environments.alfworld.templates import template_of

GOING = "go to [{r.name | receptacleatlocation(r:receptacle, lend:location)}]"


class Placeholder(NamedTuple):
    """As `textworld` has them."""

    name: str


def depends_on(text: str, *things: str) -> set[str]:
    action = SimpleNamespace(mapping={Placeholder(name): f"{name} 1" for name in things})
    return {placeholder.name for placeholder in template_of(text).mapping(action)}


def test_a_command_depends_on_the_things_and_the_facts_that_it_names():
    assert template_of("open {r}").predicates == frozenset()
    assert depends_on("take {o} from {r}", "a", "l", "o", "r") == {"o", "r"}
    assert template_of(GOING).predicates == {"receptacleatlocation"}
    assert depends_on(GOING, "a", "lstart", "lend", "r") == {"lend", "r"}


def test_where_a_condition_has_a_thing_to_find_all_things_matter_as_it_takes_none_of_them():
    assert depends_on(GOING, "a", "lstart", "lend") == {"a", "lstart", "lend"}


@pytest.mark.parametrize(
    "text", ["#open.command#", "open {r} #how(r)#", "{len(context['facts'])}", "{self.expression}"]
)
def test_what_may_look_at_anything_is_derived_every_time(text):
    assert template_of(text).predicates is None
    assert depends_on(text, "a", "r") == {"a", "r"}
