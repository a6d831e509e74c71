"""What an episode is worth: correct is its success, and the reward that or the environment's score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from htpo.playing.player import EpisodeRow
from htpo.verifiers.verdict import Verdict

EPISODE = "episode"
"""Where a row has the `EpisodeRow` that was played of it."""


@dataclass(frozen=True)
class EpisodeVerifier:
    """Judges episodes, which know themselves how they ended; the text of a response is not looked at.

    Args:
        by_score: the reward is the environment's score; else 1 for a success and 0 otherwise.
        invalid_action_penalty: what every invalid action takes off the reward.
    """

    by_score: bool = False
    invalid_action_penalty: float = 0.0

    @property
    def graded(self) -> bool:
        """Whether the reward is more than right or wrong."""
        return self.by_score or self.invalid_action_penalty != 0

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """See `Verifier`; the rows have an `EPISODE`."""
        return [self._verdict(row[EPISODE]) for row in rows]

    def close(self) -> None:
        """There is nothing to release."""

    def _verdict(self, row: EpisodeRow) -> Verdict:
        episode = row.episode
        earned = episode.score if self.by_score else float(episode.success)
        return Verdict(
            correct=episode.success,
            extracted=episode.actions[-1] if episode.actions else None,
            failure=episode.failure or ("truncated" if row.overflowed else None),
            score=earned - self.invalid_action_penalty * episode.invalid_actions if self.graded else None,
        )
