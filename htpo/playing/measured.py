"""What is logged of episodes."""

from collections.abc import Callable

from htpo.playing.player import EpisodeRow

MEASURED: dict[str, Callable[[EpisodeRow], float]] = {
    "turns": lambda row: len(row.episode.actions),
    "invalid_actions": lambda row: row.episode.invalid_actions,
    "score": lambda row: row.episode.score,
    "step_limit_share": lambda row: row.episode.truncated,
    "overflowed_share": lambda row: row.overflowed,
    "shortened_share": lambda row: any(row.forgotten),
    "failed_share": lambda row: row.episode.failure is not None,
}
"""What is logged of the episodes of a batch, as mean over them, under `episodes/`."""
