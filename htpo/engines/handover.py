"""Handing things on between two methods of ours of which the host calls one inside the other."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Given = TypeVar("Given")
Left = TypeVar("Left")
T = TypeVar("T")


class Call(Generic[Given, Left]):
    """A call of the host's code that is under way: what it is about, and what came of it so far."""

    def __init__(self, given: Given):
        self.given = given
        self.left: list[Left] = []


class Handover(Generic[Given, Left]):
    """The outer method runs the host's code by `around`; the inner one finds the `call` and leaves what is needed.

    What is left belongs to that call alone, so it cannot be missing or from an earlier one: a host that no longer calls
    the inner method, or calls it twice, stops the run.

    Args:
        name: of what is handed on, for the error.
    """

    def __init__(self, name: str):
        self.name = name
        self.call: Call[Given, Left] | None = None  # None while the host's code is not under way

    def around(self, given: Given, host: Callable[..., T], *arguments: Any) -> tuple[T, Left]:
        """Call the host with the arguments.

        Returns:
            (what the host returns, what our method inside left).

        Raises:
            RuntimeError: nothing was left, or more than once, or a call is under way already.
        """
        if self.call is not None:
            raise RuntimeError(f"{self.name}: asked for inside a call that asks for it already")
        self.call = call = Call[Given, Left](given)
        try:
            result = host(*arguments)
        finally:
            self.call = None
        if len(call.left) != 1:
            raise RuntimeError(f"{self.name}: the host gave it {len(call.left)} times within one call, expected once")
        return result, call.left[0]
