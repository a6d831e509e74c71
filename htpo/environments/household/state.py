"""A game being played: what is possible now, what it leads to, and whether the task is done."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from htpo.environments.household.game import Game, handled_state, kind_of
from htpo.environments.household.things import APPLIANCES, LAMPS, OBJECTS, PLACES, STATES

HAND = "hand"
NOTHING_HAPPENS = "nothing happens."


class State:
    """Where everything is.

    Attributes:
        room: the one the player is in.
        place: the place in it that the player stands at, None in the middle of the room.
        lies: the place of each object, or `HAND`.
        open: places that are open, of those that can be.
        states: of each object, of "clean", "hot", "cool".
        lit: lamps that are on.
    """

    def __init__(self, game: Game):
        self.game = game
        self.room: str = game.start
        self.place: str | None = None
        self.lies = dict(game.lies)
        self.open: set[str] = set()
        self.states: dict[str, set[str]] = {name: set() for name in game.lies}
        self.lit: set[str] = set()

    @property
    def held(self) -> str | None:
        """What the player carries: one thing at most."""
        return next((name for name, place in self.lies.items() if place == HAND), None)

    def is_closed(self, place: str) -> bool:
        """Whether one must open it to see, take or put anything."""
        return PLACES[kind_of(place)].opens and place not in self.open

    def seen(self) -> list[str]:
        """What can be seen where the player stands."""
        if self.place is None or self.is_closed(self.place):
            return []
        return [name for name, place in self.lies.items() if place == self.place]

    def actions(self) -> list[str]:
        """All that is possible now."""
        possible = [f"go to {place}" for place in self.game.rooms[self.room] if place != self.place]
        possible += [f"go to {room}" for room in self.game.rooms if room != self.room]
        place, held = self.place, self.held
        if place is not None:
            if PLACES[kind_of(place)].opens:
                possible.append(f"{'open' if self.is_closed(place) else 'close'} {place}")
            lamps = [name for name in self.seen() if kind_of(name) in LAMPS]
            possible += [f"use {lamp}" for lamp in lamps if lamp not in self.lit]
            if held is None:
                possible += [f"take {name} from {place}" for name in self.seen() if name not in lamps]
            else:
                if not self.is_closed(place):
                    possible.append(f"move {held} to {place}")
                possible += [
                    f"{handling} {held} with {place}"
                    for handling, appliance in APPLIANCES.items()
                    if kind_of(place) == appliance and handling in OBJECTS[kind_of(held)].does.split(" ")
                ]
        return [*possible, "look", "inventory"]

    def act(self, action: Any) -> str | None:
        """Do it, and say what comes of it; None, with nothing changed, for an action that is not possible."""
        if not isinstance(action, str) or action not in self.actions():
            return None
        verb, *words = action.split(" ")
        name = " ".join(words[:2])
        does: dict[str, Callable[[str], str]] = {
            "go": self._go,
            "open": self._open,
            "close": self._close,
            "take": self._take,
            "move": self._move,
            "use": self._use,
            "look": lambda _: self.look(),
            "inventory": lambda _: f"you carry {self.held or 'nothing'}.",
        }
        if verb == "go":
            name = action.removeprefix("go to ")
        return does[verb](name) if verb in does else self._handle(verb, name)

    def look(self) -> str:
        """Where the player is, and what there is."""
        if self.place is None:
            return f"you are in the {self.room}. you see {_listed(self.game.rooms[self.room])}."
        return f"you are at {self.place}. {self._contents(self.place)}"

    def is_won(self) -> bool:
        """Whether the task is done."""
        goal = self.game.goal
        if goal.task_type == "look_at_obj_in_light":
            held = self.held
            lit = [lamp for lamp in self.lit if kind_of(lamp) == goal.place and self.lies[lamp] == self.place]
            return bool(lit) and held is not None and kind_of(held) == goal.object
        wanted = handled_state(goal.task_type)
        put = Counter(
            place
            for name, place in self.lies.items()
            if kind_of(name) == goal.object
            and kind_of(place) == goal.place
            and (not wanted or wanted in self.states[name])
        )
        return max(put.values(), default=0) >= (2 if goal.task_type == "pick_two_obj_and_place" else 1)

    def _go(self, where: str) -> str:
        if where in self.game.rooms:
            self.room, self.place = where, None
            return self.look()
        self.place = where
        return f"you arrive at {where}. {self._contents(where)}"

    def _open(self, place: str) -> str:
        self.open.add(place)
        return f"you open {place}. {self._contents(place)}"

    def _close(self, place: str) -> str:
        self.open.remove(place)
        return f"you close {place}."

    def _take(self, name: str) -> str:
        said = f"you take {name} from {self.lies[name]}."
        self.lies[name] = HAND
        return said

    def _move(self, name: str) -> str:
        assert self.place is not None
        self.lies[name] = self.place
        return f"you move {name} to {self.place}."

    def _use(self, lamp: str) -> str:
        self.lit.add(lamp)
        return f"you turn on {lamp}."

    def _handle(self, handling: str, name: str) -> str:
        self.states[name] -= {"hot", "cool"} if handling in ("heat", "cool") else set()
        self.states[name].add(STATES[handling])
        return f"you {handling} {name} with {self.place}."

    def _contents(self, place: str) -> str:
        if self.is_closed(place):
            return "it is closed."
        preposition = "in" if PLACES[kind_of(place)].inside else "on"
        return f"{preposition} it you see {_listed([name for name, where in self.lies.items() if where == place])}."


def _listed(names: Any) -> str:
    return ", ".join(names) or "nothing"
