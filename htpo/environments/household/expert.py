"""A player that wins every game: by looking where a thing most likely is, or, told where everything is, directly."""

from htpo.environments.household.game import HANDLINGS, Game, kind_of
from htpo.environments.household.state import State
from htpo.environments.household.things import APPLIANCES, LAMPS, OBJECTS


class Expert:
    """Plays one game to its end.

    Args:
        informed: whether it knows where everything lies, and wastes no step; otherwise it knows only what it has seen,
            so that another can learn from it to search.

    Attributes:
        actions: what it has done.
    """

    def __init__(self, game: Game, *, informed: bool):
        self.state, self._informed = State(game), informed
        self.actions: list[str] = []
        self._known: dict[str, list[str]] = {}  # what was last seen at each place
        if informed:
            self._known = {place: [name for name in game.lies if game.lies[name] == place] for place in game.room_of}
        self._play()

    def _play(self) -> None:
        goal = self.state.game.goal
        if goal.task_type == "look_at_obj_in_light":
            self._take(self._find([goal.object], OBJECTS[goal.object].lies.split(" ")))
            self._do(f"use {self._find([goal.place], LAMPS[goal.place])}")
            return
        target = self._nearest_place(goal.place)
        count = 2 if goal.task_type == "pick_two_obj_and_place" else 1
        for _ in range(count):
            self._take(self._find([goal.object], OBJECTS[goal.object].lies.split(" "), besides=target))
            if goal.task_type in HANDLINGS:
                handling = HANDLINGS[goal.task_type]
                appliance = self._nearest_place(APPLIANCES[handling])
                self._go(appliance)
                self._do(f"{handling} {self.state.held} with {appliance}")
            self._visit(target)
            self._do(f"move {self.state.held} to {target}")

    def _find(self, kinds: list[str], likely: list[str] | tuple[str, ...], besides: str | None = None) -> str:
        """The name of a thing of one of these kinds, after going to where it is."""
        places = [place for place in self.state.game.room_of if place != besides]
        places.sort(key=lambda place: (self._distance(place), kind_of(place) not in likely))
        places.sort(key=lambda place: not any(kind_of(name) in kinds for name in self._known.get(place, [])))
        for place in places:
            known = self._known.get(place)
            if known is None or any(kind_of(name) in kinds for name in known):
                self._visit(place)
                found = [name for name in self._known[place] if kind_of(name) in kinds]
                if found:
                    return found[0]
        raise AssertionError(f"no {kinds} in {self.state.game}")

    def _distance(self, place: str) -> int:
        """0 for where it stands, 1 in the same room, 2 behind a door."""
        if place == self.state.place:
            return 0
        return 1 if self.state.game.room_of[place] == self.state.room else 2

    def _nearest_place(self, kind: str) -> str:
        places = [place for place in self.state.game.room_of if kind_of(place) == kind]
        return min(places, key=self._distance)

    def _visit(self, place: str) -> None:
        """Go there and see what there is."""
        self._go(place)
        if self.state.is_closed(place):
            self._do(f"open {place}")
        self._known[place] = self.state.seen()

    def _go(self, place: str) -> None:
        room = self.state.game.room_of[place]
        if room != self.state.room:
            self._do(f"go to {room}")
        if place != self.state.place:
            self._do(f"go to {place}")

    def _take(self, name: str) -> None:
        self._do(f"take {name} from {self.state.place}")
        self._known[str(self.state.place)].remove(name)

    def _do(self, action: str) -> None:
        assert self.state.act(action) is not None, (action, self.state.actions())
        self.actions.append(action)
