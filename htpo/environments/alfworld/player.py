"""`textworld`'s player of PDDL games, which works out only what is asked of it here, and nothing a second time."""

from functools import lru_cache
from typing import Any

from textworld.core import GameState
from textworld.envs.pddl import logic
from textworld.envs.pddl.pddl import PddlEnv

from htpo.environments.alfworld.templates import template_of

COMMANDS = 65536  # remembered in a game


class State(logic.PddlState):  # type: ignore[misc]
    """A state that keeps its facts in the order in which conditions are matched with them."""

    def __init__(self, *args: Any) -> None:
        self._ordered: dict[Any, tuple[Any, ...]] = {}
        super().__init__(*args)

    def facts_with_signature(self, sig: Any) -> tuple[Any, ...]:  # sorted by who asks: cheap where it is already
        if sig not in self._ordered:
            self._ordered[sig] = tuple(sorted(super().facts_with_signature(sig)))
        return self._ordered[sig]

    def add_fact(self, prop: Any) -> None:
        super().add_fact(prop)
        self._ordered.pop(prop.signature, None)

    def remove_fact(self, prop: Any) -> None:
        super().remove_fact(prop)
        self._ordered.pop(prop.signature, None)

    def named(self, predicates: frozenset[str]) -> frozenset[Any]:
        """The facts of these predicates."""
        return frozenset(fact for sig, facts in self._facts.items() if sig.name in predicates for fact in facts)


class Player(PddlEnv):  # type: ignore[misc]
    """Plays as `PddlEnv` does: same sentences, same commands in the same order."""

    def load(self, held: dict[str, Any]) -> None:
        super().load(held)
        self._begun: State | None = self._pddl_state
        self._commands = lru_cache(COMMANDS)(self._command)

    def reset(self) -> GameState:
        """The game's beginning; that which loading made is taken the first time."""
        self._pddl_state = self._begun or State(self.downward_lib, self._game_data["pddl_problem"], self._logic)
        self._begun = self.prev_state = self._last_action = None
        self._moves = 0
        self.state = GameState()
        self.state.feedback = self._logic.grammar.derive("#intro#", self._context({}))
        self._gather_infos()
        return self.state

    def _gather_infos(self) -> None:
        """Whether it is won, and what may be done: all that is read of a state here, and by the next step."""
        self.state["won"] = self._pddl_state.check_goal()
        self.state["lost"] = False
        actions = self.state["_valid_actions"] = self._pddl_state.all_applicable_actions()
        facts = lru_cache(None)(self._pddl_state.named)
        commands = self.state["_valid_commands"] = []
        for action in actions:
            template = template_of(action.command_template)
            things = tuple(template.mapping(action).items())
            if template.predicates is None:
                commands.append(self._command(template.text, things))
            else:
                commands.append(self._commands(template.text, things, facts(template.predicates)))
        self.state["admissible_commands"] = sorted(set(commands))

    def _command(self, template: str, things: tuple[tuple[Any, Any], ...], _: frozenset[Any] = frozenset()) -> str:
        """The command of an action, which follows from its things and from the facts that its template names."""
        derived = self._logic.grammar.derive(template, self._context(dict(things)))
        return str(derived.format(**{key: info.name for key, info in self._entity_infos.items()}))

    def _context(self, mapping: dict[Any, Any]) -> dict[str, Any]:
        return {
            "state": self._pddl_state,
            "facts": list(self._pddl_state.facts),
            "variables": {thing.name: self._entity_infos[it.name] for thing, it in mapping.items()},
            "mapping": mapping,
            "entity_infos": self._entity_infos,
        }
