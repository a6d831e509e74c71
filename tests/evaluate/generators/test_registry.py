"""The backends of `htpo eval`: each brings its options."""

from collections import Counter
from dataclasses import fields

import pytest

from htpo.evaluate.generators.registry import BACKENDS


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_what_may_change_and_what_implies_a_backend_are_options_of_it(backend):
    names = {each.name for kind in backend.options for each in fields(kind)}
    assert names
    assert {name for kind in backend.options for name in kind.MAY_CHANGE} <= names
    assert backend.implied_by is None or backend.implied_by in names


def test_no_two_groups_of_options_have_one_of_the_same_name():
    groups = {kind for backend in BACKENDS.values() for kind in backend.options}
    assert set(Counter(each.name for kind in groups for each in fields(kind)).values()) == {1}
