"""`EpisodeOptions`: how a policy plays episodes of an environment. Every field is an option of `htpo train`."""

from dataclasses import dataclass, field, fields

from htpo.playing.formats import PROMPT_FORMATS

REWARDS = ("success", "score")


@dataclass
class EpisodeOptions:
    """Options of a dataset that is an environment; of no effect, and refused, with any other."""

    prompt_format: str | None = field(
        default=None,
        metadata={
            "help": f"How episodes are told to the policy: {' or '.join(PROMPT_FORMATS)}. Default: verl_agent with a "
            "chat template, else compact."
        },
    )
    max_turn_length: int = field(
        default=512,
        metadata={"help": "Tokens of a turn of the policy at most; max_completion_length is that of whole episodes."},
    )
    max_turns: int | None = field(
        default=None, metadata={"help": "Actions after which an episode ends. Default: the environment's own."}
    )
    episode_reward: str = field(
        default="success",
        metadata={"help": "What an episode earns: 1 for a success, or the environment's score. Correct is a success."},
    )
    invalid_action_penalty: float = field(
        default=0.0, metadata={"help": "What every invalid action takes off the reward."}
    )


def changed_episode_options(options: EpisodeOptions) -> list[str]:
    """Names of those that are not at their default."""
    return [each.name for each in fields(EpisodeOptions) if getattr(options, each.name) != each.default]
