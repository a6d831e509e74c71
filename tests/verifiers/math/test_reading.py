"""The forms in which an answer may be meant."""

from htpo.verifiers.math.forms import Choice, Interval, Quantity, Ranges, Several, Words
from htpo.verifiers.math.reading import read


def test_each_form_is_read_for_what_it_is():
    assert read("5") == [Quantity("5")]
    assert isinstance(read("1, 2")[0], Several)
    assert [type(form) for form in read("(1, 2)")] == [Ranges, Several]
    assert read("(1, 2]") == [Ranges((Interval(Quantity("1"), Quantity("2"), False, True),))]
    assert read("x > 3") == [Ranges((Interval(Quantity("3"), None, False, False),), "x")]
    assert read(r"\{t | t > 3\}") == [Ranges((Interval(Quantity("3"), None, False, False),))]
    assert read("(B) 12") == [Choice("B", (Quantity("12"),)), Quantity("12")]
    assert read("Friday") == [Words("Friday")]
    assert [form.text for form in read("1,234")[:1]] == ["1234"]
    assert read("") == []
