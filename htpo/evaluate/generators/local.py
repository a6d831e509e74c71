"""What every backend has that loads a model by itself: options, the tokenizer, and what a chat template refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from transformers import AutoTokenizer

from htpo.errors import UserError
from htpo.evaluate.generators.backend import Backend, BackendOptions, check_least, json_object
from htpo.evaluate.generators.end_tokens import published_end_tokens
from htpo.evaluate.generators.vocabulary import SamplingOptions
from htpo.playing.formats import PromptFormat
from htpo.playing.turn_tokens import TurnTokens
from htpo.tasks.prompts import Prompt, check_template


@dataclass
class LocalOptions(BackendOptions):
    """How a model is loaded, and how it is asked."""

    MAY_CHANGE = frozenset({"batch_size"})

    batch_size: int | None = field(
        default=None, metadata={"help": "Responses generated at once. Default: 64; vllm: 1024, then they are stored."}
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a Hugging Face id."})
    dtype: str = field(default="auto", metadata={"help": "Of the weights: auto (as stored), bfloat16, float32, ..."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code from the model's repository."})
    chat_template_kwargs: str | None = field(
        default=None,
        metadata={"help": "JSON object with options of the chat template, as in '{\"enable_thinking\": false}'."},
    )

    def __post_init__(self) -> None:
        check_least(self, {"batch_size": 1})

    @property
    def template_options(self) -> Mapping[str, Any]:
        """Of the chat template."""
        return json_object("chat_template_kwargs", self.chat_template_kwargs)

    @property
    def loading(self) -> dict[str, Any]:
        """As transformers and vLLM take them when they load a model."""
        return {"revision": self.model_revision, "dtype": self.dtype, "trust_remote_code": self.trust_remote_code}


class LocalBackend(Backend):
    """A model that is loaded by its Hugging Face id or from a folder.

    Raises:
        UserError: there is none, or it has no chat template although chat messages are wanted.
    """

    options: ClassVar[tuple[type[BackendOptions], ...]] = (LocalOptions,)

    def __init__(self, model: str, sampling: SamplingOptions, chat: bool | None, local: LocalOptions):
        self.model, self.sampling, self.local = model, sampling, local
        if (Path(model) / "config.yaml").is_file():
            raise UserError(f"{model} is a run: its model is {Path(model) / 'model'}")
        self.tokenizer = load_tokenizer(model, local.model_revision, local.trust_remote_code)
        has_template = getattr(self.tokenizer, "chat_template", None) is not None
        if chat and not has_template:
            raise UserError(f"--chat true: {model} has no chat template; leave it out")
        self.conversational = has_template if chat is None else chat

    def check(self, prompts: Sequence[Prompt]) -> None:
        check_template(prompts[0], self.tokenizer, self.local.template_options)

    def check_episodes(self, told: PromptFormat) -> None:
        TurnTokens(told, self.tokenizer, self.local.template_options).check()

    @property
    def asking(self) -> dict[str, Any]:
        """Arguments of a generator that stand for options."""
        given = {} if self.local.batch_size is None else {"batch_size": self.local.batch_size}
        return {**given, "template_options": self.local.template_options}


def load_tokenizer(model: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model, with a padding token.

    Raises:
        UserError: there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot load a model from {model!r}: {_why(model, error)} Give a folder with a model, a Hugging Face id "
            "(NAME or OWNER/NAME) or, to htpo eval, a model's name on a server with --base_url"
        ) from error
    if tokenizer.pad_token is None:
        ends = published_end_tokens(model, tokenizer, revision=revision, trust_remote_code=trust_remote_code)
        tokenizer.pad_token_id = ends[0] if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return tokenizer


def _why(model: str, error: Exception) -> str:
    """What stopped a model from being loaded; the hub's client speaks of ids even where only a folder can be meant."""
    try:
        validate_repo_id(model)
    except HFValidationError:
        if not Path(model).exists():
            return "there is no such folder."
    return first_line(error)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
