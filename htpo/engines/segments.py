"""Which tokens of an episode think and which act: `TokenBatch.segment`."""

from itertools import zip_longest

from htpo.objectives.batch import ACTION, THINKING
from htpo.playing.player import EpisodeRow, Turns
from htpo.playing.turn_tokens import TurnTokens


def segments(row: EpisodeRow, turns: Turns) -> list[int]:
    """Of each id of a row's response whether it is `THINKING` or `ACTION`; 0 where it was not sampled.

    Args:
        turns: what the episode was played by: `TurnTokens`.
    """
    assert isinstance(turns, TurnTokens), "texts of a server are not trained on"
    found: list[int] = []
    for turn, shown in zip_longest(row.turns, row.shown):
        if turn is not None:
            thinking = turns.before_action(turn.ids)
            found += [THINKING] * thinking + [ACTION] * (len(turn.ids) - thinking)
        found += [0] * len(shown or ())
    return found
