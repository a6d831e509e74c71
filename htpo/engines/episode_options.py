"""`EpisodeOptions`: how a policy plays episodes of an environment. Every field is an option of `htpo train`."""

from dataclasses import dataclass, field, fields

from htpo.playing.options import PlayOptions
from htpo.tasks.options import DataOptions

REWARDS = ("success", "score")


@dataclass
class EpisodeOptions(PlayOptions):
    """Options of a dataset that is an environment; of no effect, and refused, with any other."""

    episode_reward: str = field(
        default="success",
        metadata={"help": "What an episode earns: 1 for a success, or the environment's score. Correct is a success."},
    )
    invalid_action_penalty: float = field(
        default=0.0, metadata={"help": "What every invalid action takes off the reward."}
    )


@dataclass
class TaskOptions(EpisodeOptions, DataOptions):
    """Options of data that may be an environment."""


def changed_episode_options(options: EpisodeOptions) -> list[str]:
    """Names of those that are not at their default."""
    return [each.name for each in fields(EpisodeOptions) if getattr(options, each.name) != each.default]
