"""What every backend has that loads a model by itself: options, and what a chat template refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from htpo.errors import UserError
from htpo.evaluate.generators.backend import Backend, BackendOptions, check_least, json_object
from htpo.evaluate.generators.loading import check_weights, load_tokenizer
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
        check_weights(model)
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
