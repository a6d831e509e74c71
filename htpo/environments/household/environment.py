"""The household as an `Environment`."""

import random
from typing import Any

from htpo.environments.environment import Observation, Row, TooFewTasks
from htpo.environments.household.expert import Expert
from htpo.environments.household.game import SPLITS, TASK_TYPES, Difficulty, draw_game
from htpo.environments.household.state import NOTHING_HAPPENS, State
from htpo.environments.household.things import LAMPS, MOST_OF_A_KIND, OBJECTS, PLACES, ROOMS

ROWS = 1000  # of a split, when nobody says how many
FRUITLESS_DRAWS = 2_000  # in a row, before a split counts as exhausted


class Household:
    """Find a thing in a house of containers, make it clean, hot or cool, and put it where it belongs.

    The six types of task are ALFWorld's, and the actions are worded as there. The text is lower-case, short, and made
    of the hundred words of `vocabulary`, so that a small policy with a token per word can learn it.

    Args:
        rooms: 1 to 4; with more than one, doors are to be walked through.
        receptacles: places in each room, 3 to 8.
        objects: things in each room beside those of the task, 0 to 12.
        task_types: which types of task there are; by default all.

    Raises:
        UserError: there is no such house.
    """

    splits = SPLITS

    def __init__(self, rooms: int = 1, receptacles: int = 6, objects: int = 4, task_types: list[str] | None = None):
        self.difficulty = Difficulty(rooms, receptacles, objects, tuple(task_types or TASK_TYPES))
        self.max_steps = 12 + 3 * receptacles * rooms
        self._state: State | None = None

    def rows(self, split: str, count: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Games of a split, each a different one: the seed decides which, the split does not depend on it.

        Raises:
            TooFewTasks: there are not so many.
        """
        wanted = ROWS if count is None else count
        rng = random.Random(f"{split} {seed}")
        found: dict[str, dict[str, Any]] = {}
        fruitless = 0
        while len(found) < wanted:
            game_seed = rng.randrange(2**31)
            game = draw_game(game_seed, self.difficulty)
            fruitless += 1
            if game.split == split and repr(game) not in found:
                found[repr(game)] = {
                    "id": f"{split}-{game_seed}",
                    "task_type": game.goal.task_type,
                    "task": game.goal.text,
                    "game_seed": game_seed,
                }
                fruitless = 0
            if fruitless == FRUITLESS_DRAWS:
                raise TooFewTasks(f"household has hardly more games of {self.difficulty} in {split} than {len(found)}")
        return list(found.values())

    def reset(self, row: Row, seed: int) -> Observation:
        """The house as the row says; nothing in it is left to chance, so that `seed` has no effect."""
        self._state = State(draw_game(row["game_seed"], self.difficulty))
        return self._shown(f"{self._state.look()} your task is to: {self._state.game.goal.text}")

    def step(self, action: str) -> Observation:
        """Act; space around an action, and capitals, do not matter."""
        assert self._state is not None
        said = self._state.act(action.strip().lower() if isinstance(action, str) else None)
        return self._shown(NOTHING_HAPPENS if said is None else said, invalid=said is None)

    def walkthrough(self, row: Row) -> list[str]:
        """The actions of one who looks for things, and learns where they are as any player does."""
        return Expert(draw_game(row["game_seed"], self.difficulty), informed=False).actions

    def shortest(self, row: Row) -> list[str]:
        """The actions of one who knows where everything is."""
        return Expert(draw_game(row["game_seed"], self.difficulty), informed=True).actions

    def _shown(self, text: str, *, invalid: bool = False) -> Observation:
        assert self._state is not None
        won = self._state.is_won()
        return Observation(text, tuple(self._state.actions()), won, won, float(won), invalid)


def vocabulary() -> list[str]:
    """Every word and sign of observations and actions, for a tokenizer with a token for each."""
    sentences = [
        *TASK_TYPES.values(),
        NOTHING_HAPPENS,
        "your task is to: you are in the at it is closed. in on it you see nothing, you arrive at you carry",
        "you go to open close take from move to use turn on look inventory clean heat cool with",
    ]
    words = set(" ".join(sentences).replace("{object}", "").replace("{place}", "").translate(SPACED).split())
    numbers = {str(number) for number in range(1, MOST_OF_A_KIND + 1)}
    return sorted(words | {*ROOMS, *PLACES, *OBJECTS, *LAMPS} | numbers)


SPACED = str.maketrans({sign: f" {sign} " for sign in ".,:"})
"""For `str.translate`: signs become words of their own."""
