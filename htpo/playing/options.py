"""`PlayOptions`: how a policy plays episodes of an environment, in training and when it is measured."""

from dataclasses import dataclass, field

from htpo.playing.formats import PROMPT_FORMATS


@dataclass
class PlayOptions:
    """Options of an environment's episodes; of no effect, and refused, with anything else."""

    prompt_format: str | None = field(
        default=None,
        metadata={
            "help": f"How episodes are told to the policy: {' or '.join(PROMPT_FORMATS)}. Default: verl_agent with a "
            "chat template, else compact."
        },
    )
    max_turn_length: int = field(
        default=512,
        metadata={"help": "Tokens of a turn of the policy at most; an episode has many turns."},
    )
    max_turns: int | None = field(
        default=None, metadata={"help": "Actions after which an episode ends. Default: the environment's own."}
    )
    history_length: int | None = field(
        default=None,
        metadata={
            "help": "Past turns that the policy is shown at most, the last ones, beside its task; of these the oldest "
            "leave where they do not fit. Default: all; in training an episode that no longer fits is then given up."
        },
    )
