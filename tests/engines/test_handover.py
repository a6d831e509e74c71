"""What one method leaves for another belongs to one call of the host, and is there."""

import pytest

from htpo.engines.handover import Handover


def leaving(handover: Handover, *values):
    """A host's method that calls ours inside it once for each value."""

    def host(word: str) -> str:
        for value in values:
            handover.call.left.append((handover.call.given, value))
        return word.upper()

    return host


def test_what_is_left_inside_comes_out_beside_what_the_host_returns():
    handover = Handover("the loss")
    assert handover.around("first", leaving(handover, 1), "done") == ("DONE", ("first", 1))
    assert handover.around("second", leaving(handover, 2), "again") == ("AGAIN", ("second", 2))
    assert handover.call is None


def test_a_host_that_no_longer_calls_our_method_gets_nothing_from_an_earlier_call():
    handover = Handover("the loss")
    handover.around(None, leaving(handover, 1), "done")
    with pytest.raises(RuntimeError, match="the loss: the host gave it 0 times"):
        handover.around(None, leaving(handover), "done")
    with pytest.raises(RuntimeError, match="the loss: the host gave it 2 times"):
        handover.around(None, leaving(handover, 1, 2), "done")


def test_a_call_that_fails_is_over():
    handover = Handover("the loss")
    with pytest.raises(ZeroDivisionError):
        handover.around(None, lambda: 1 / 0)
    assert handover.call is None


def test_a_call_inside_a_call_is_refused():
    handover = Handover("the loss")
    with pytest.raises(RuntimeError, match="inside a call"):
        handover.around(None, lambda: handover.around(None, leaving(handover, 1), "done"))
