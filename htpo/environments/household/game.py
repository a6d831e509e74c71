"""One game: a house as it is at the beginning, and what is to be done; drawn from a seed."""

import random
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from htpo.environments.household.things import (
    APPLIANCES,
    LAMPS,
    MOST_OF_A_KIND,
    OBJECTS,
    PLACES,
    ROOM_LAMPS,
    ROOMS,
    STATES,
)
from htpo.errors import UserError

TASK_TYPES = {
    "pick_and_place_simple": "put a {object} in {place}.",
    "pick_two_obj_and_place": "put two {object} in {place}.",
    "pick_clean_then_place_in_recep": "put a clean {object} in {place}.",
    "pick_heat_then_place_in_recep": "put a hot {object} in {place}.",
    "pick_cool_then_place_in_recep": "put a cool {object} in {place}.",
    "look_at_obj_in_light": "look at a {object} under the {place}.",
}
"""ALFWorld's, with the words in which they are asked for here."""

HANDLINGS = {
    "pick_clean_then_place_in_recep": "clean",
    "pick_heat_then_place_in_recep": "heat",
    "pick_cool_then_place_in_recep": "cool",
}
SPLITS = ("train", "valid_seen", "valid_unseen")
HELD_OUT_SHARE = 10  # one goal of so many is unseen; of the other games, one of so many is held out
TRIES = 200


@dataclass(frozen=True)
class Difficulty:
    """How large a house is.

    Attributes:
        rooms: 1 to 4, of different kinds; with more than one the way leads through doors.
        receptacles: places in each room.
        objects: things in each room, beside those of the task.
        task_types: which of `TASK_TYPES` there are.
    """

    rooms: int = 1
    receptacles: int = 6
    objects: int = 4
    task_types: tuple[str, ...] = tuple(TASK_TYPES)

    def __post_init__(self) -> None:
        if not 1 <= self.rooms <= len(ROOMS):
            raise UserError(f"rooms is {self.rooms}, needs 1 to {len(ROOMS)}")
        if not 3 <= self.receptacles <= 8:
            raise UserError(f"receptacles is {self.receptacles}, needs 3 to 8")
        if not 0 <= self.objects <= 12:
            raise UserError(f"objects is {self.objects}, needs 0 to 12")
        unknown = set(self.task_types) - set(TASK_TYPES)
        if unknown or not self.task_types:
            raise UserError(
                f"there are no task types {', '.join(unknown) or '(none given)'}; give of {', '.join(TASK_TYPES)}"
            )


@dataclass(frozen=True)
class Goal:
    """What is to be done: with a kind of object, and a kind of place or lamp."""

    task_type: str
    object: str
    place: str

    @property
    def text(self) -> str:
        """The task in words."""
        return TASK_TYPES[self.task_type].format(object=self.object, place=self.place)

    @property
    def is_unseen(self) -> bool:
        """Whether nothing is trained on that has this goal."""
        return _hash(self.text) % HELD_OUT_SHARE == 0


@dataclass(frozen=True)
class Game:
    """A house: names are as in "apple 1".

    Attributes:
        rooms: each with the names of its places.
        lies: the place of each object, and of the lamps.
        start: the room to begin in.
        goal: what is to be done.
    """

    rooms: dict[str, tuple[str, ...]]
    lies: dict[str, str]
    start: str
    goal: Goal

    @cached_property
    def room_of(self) -> dict[str, str]:
        """The room of each place."""
        return {place: room for room, places in self.rooms.items() for place in places}

    @property
    def split(self) -> str:
        """The one split it belongs to: `valid_unseen` has goals of its own, `valid_seen` games of its own."""
        if self.goal.is_unseen:
            return "valid_unseen"
        return "valid_seen" if _hash(repr(self)) % HELD_OUT_SHARE == 0 else "train"


def kind_of(name: str) -> str:
    """The kind of what has this name."""
    return name.split(" ")[0]


def draw_game(seed: int, difficulty: Difficulty) -> Game:
    """The game of a seed. It can be won, and is not won to begin with.

    Raises:
        UserError: the difficulty leaves room for none.
    """
    rng = random.Random(seed)
    task_type = rng.choice(difficulty.task_types)
    for _ in range(TRIES):
        game = _drawn(rng, task_type, difficulty)
        if game is not None:
            return game
    raise UserError(f"no game has {difficulty}: give it more receptacles, or other task types")


def _drawn(rng: random.Random, task_type: str, difficulty: Difficulty) -> Game | None:
    """One try: the goal first, then a house with what it needs, then what else lies about."""
    kinds = rng.sample(sorted(ROOMS), difficulty.rooms)
    handling = HANDLINGS.get(task_type, "light" if task_type == "look_at_obj_in_light" else "")
    there = {room: set(ROOMS[room].split(" ")) for room in kinds}
    everywhere = set().union(*there.values())
    if handling in APPLIANCES and APPLIANCES[handling] not in everywhere:
        return None
    objects = [
        name
        for name, kind in OBJECTS.items()
        if (not handling or handling in kind.does.split(" ")) and everywhere & set(kind.lies.split(" "))
    ]
    lamps = [ROOM_LAMPS[room] for room in kinds if room in ROOM_LAMPS]
    if not objects or (handling == "light" and not lamps):
        return None
    thing = rng.choice(objects)
    sources = sorted(everywhere & set(OBJECTS[thing].lies.split(" ")))
    targets = lamps if handling == "light" else sorted(everywhere - {"stoveburner", "toilet", "bathtub"})
    place = rng.choice(targets)
    sources = [source for source in sources if source != place]
    if not sources:
        return None
    source = rng.choice(sources)
    needed = [
        source,
        *([] if handling == "light" else [place]),
        *([APPLIANCES[handling]] if handling in APPLIANCES else []),
    ]
    rooms = _furnished(rng, there, needed, difficulty.receptacles)
    return None if rooms is None else _filled(rng, rooms, Goal(task_type, thing, place), source, difficulty)


def _furnished(
    rng: random.Random, there: dict[str, set[str]], needed: list[str], receptacles: int
) -> dict[str, tuple[str, ...]] | None:
    """Places for each room, among them one of each kind that is needed."""
    wanted: dict[str, list[str]] = {room: [] for room in there}
    for kind in dict.fromkeys(needed):
        wanted[rng.choice([room for room in there if kind in there[room]])].append(kind)
    for room in there:
        lamp = ROOM_LAMPS.get(room)
        if lamp and not set(LAMPS[lamp]) & set(wanted[room]):
            wanted[room].append(rng.choice(sorted(set(LAMPS[lamp]) & there[room])))
        if len(wanted[room]) > receptacles:
            return None
        spare = [kind for kind in sorted(there[room]) for _ in range(PLACES[kind].most - wanted[room].count(kind))]
        wanted[room] += rng.sample(spare, min(receptacles - len(wanted[room]), len(spare)))
    numbers: Counter[str] = Counter()
    rooms = {}
    for room, kinds in wanted.items():
        rooms[room] = tuple(_numbered(kind, numbers) for kind in sorted(kinds))
    return rooms


def _filled(
    rng: random.Random, rooms: dict[str, tuple[str, ...]], goal: Goal, source: str, difficulty: Difficulty
) -> Game | None:
    """Things for the places: those of the task, the lamps, and others, none of which do the task by themselves."""
    places = [place for names in rooms.values() for place in names]
    lies: dict[str, str] = {}
    numbers: Counter[str] = Counter()
    for _ in range(2 if goal.task_type == "pick_two_obj_and_place" else 1):
        lies[_numbered(goal.object, numbers)] = rng.choice([place for place in places if kind_of(place) == source])
    for room, names in rooms.items():
        lamp = ROOM_LAMPS.get(room)
        if lamp:
            lies[_numbered(lamp, numbers)] = rng.choice([place for place in names if kind_of(place) in LAMPS[lamp]])
        for _ in range(difficulty.objects):
            kind = rng.choice(sorted(OBJECTS))
            fits = [place for place in names if kind_of(place) in OBJECTS[kind].lies.split(" ")]
            if kind == goal.object:
                fits = [place for place in fits if kind_of(place) != goal.place]
            if fits and numbers[kind] < MOST_OF_A_KIND:
                lies[_numbered(kind, numbers)] = rng.choice(fits)
    return Game(rooms, lies, rng.choice(sorted(rooms)), goal)


def _numbered(kind: str, numbers: Counter[str]) -> str:
    numbers[kind] += 1
    return f"{kind} {numbers[kind]}"


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())


def handled_state(task_type: str) -> str | None:
    """The state that the object must be in ("clean", "hot", "cool"), None where any will do."""
    return STATES[HANDLINGS[task_type]] if task_type in HANDLINGS else None
