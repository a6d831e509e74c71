"""ALFWorld's games as an `Environment`."""

from functools import cache
from typing import Any

from htpo.environments.alfworld.games import SPLITS, Games
from htpo.environments.environment import Observation, Row
from htpo.errors import UserError

INSTALL = 'pip install "htpo[alfworld]"'
GREETING = "-= Welcome to TextWorld, ALFRED! =-"
NOTHING_HAPPENS = "Nothing happens."


class AlfWorld:
    """The games of ALFWorld as they are shipped, played by `textworld`.

    An action that is not among the admissible ones is invalid, and does nothing. A game file holds expressions that
    `textworld` evaluates: play those that you trust.

    Args:
        data: folder of the games; by default `ALFWORLD_DATA`, or where `alfworld-download` puts them.

    Raises:
        UserError: there are no games there, or `alfworld` is not installed.
    """

    splits = SPLITS
    max_steps = 50

    def __init__(self, data: str | None = None):
        self._games = Games.find(data)
        self._world = _new_world()
        self._loaded: str | None = None
        self._actions: tuple[str, ...] = ()

    def rows(self, split: str, count: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """The games of a split, all, or so many drawn with the seed."""
        return self._games.rows(split, count, seed)

    def reset(self, row: Row, seed: int) -> Observation:
        """The game's beginning; nothing in it is left to chance, so that `seed` has no effect.

        Raises:
            UserError: the game is not there, or damaged.
        """
        game = row["game"]
        if game != self._loaded:
            self._loaded = None
            held = self._games.read(game)
            try:
                self._world.load(held)
            except (Exception, SystemExit) as error:
                path = self._games.folder / game
                raise UserError(f"{path}: textworld cannot load the game ({error or type(error).__name__})") from None
            self._loaded = game
        state = self._world.reset()
        return self._shown(state.feedback.replace(GREETING, "").strip(), state)

    def step(self, action: str) -> Observation:
        """Act; space around an action, and capitals, do not matter."""
        command = action.strip().lower() if isinstance(action, str) else None
        if command not in self._actions:
            return Observation(NOTHING_HAPPENS, self._actions, invalid=True)
        state, _, _ = self._world.step(command)
        return self._shown(state.feedback, state)

    def walkthrough(self, row: Row) -> list[str] | None:
        """The one that comes with the game."""
        walkthrough: list[str] | None = self._games.read(row["game"]).get("walkthrough")
        return walkthrough

    def _shown(self, text: str, state: Any) -> Observation:
        self._actions = tuple(state.admissible_commands)
        won = bool(state.won)
        return Observation(text, self._actions, won, won, float(won))


def _new_world() -> Any:
    """A player of PDDL games, with things named as ALFWorld names them."""
    try:
        from alfworld.agents.environment.alfred_tw_env import AlfredDemangler

        from htpo.environments.alfworld.player import Player
    except ImportError as error:
        raise UserError(f"alfworld is not installed ({error}): {INSTALL}") from None
    _remember()
    player = Player()
    player.downward_lib.load_sas_replan = lambda _: None
    return AlfredDemangler(player, shuffle=False)


@cache
def _remember() -> None:
    """Once in a process: nothing that was worked out is worked out again."""
    from textworld.envs.pddl import logic

    from htpo.environments.alfworld.grammar import remember_grammar
    from htpo.environments.alfworld.player import State
    from htpo.environments.alfworld.translation import remember_translations

    logic.PddlState = State  # the name by which `PddlEnv` makes it
    remember_grammar()
    remember_translations()
