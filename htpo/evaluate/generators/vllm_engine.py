"""Generation in this process, with vLLM's offline engine where it is installed."""

import difflib
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, fields
from types import ModuleType
from typing import Any

import torch
from transformers import AutoConfig

from htpo.errors import UserError
from htpo.evaluate.generators.backend import BackendOptions, check_least, json_object
from htpo.evaluate.generators.end_tokens import published_end_tokens
from htpo.evaluate.generators.loading import first_line
from htpo.evaluate.generators.local import LocalBackend, LocalOptions
from htpo.evaluate.generators.model import beyond_length, played, token_player
from htpo.evaluate.generators.vocabulary import (
    EpisodeRequest,
    EpisodeSettings,
    Generator,
    Key,
    Played,
    Request,
    Response,
    SamplingOptions,
    derived_seed,
)
from htpo.playing.player import EpisodeRow, Turn, play_rounds
from htpo.tasks.prompts import Prompt, as_sent, tokenize_prompts

IN_NEED = "(what its processes wrote stands above; --gpu_memory_utilization and --max_model_len bound its memory)"


@dataclass
class VLLMOptions(BackendOptions):
    """Of vLLM's engine."""

    MAY_CHANGE = frozenset({"tensor_parallel_size", "gpu_memory_utilization"})

    tensor_parallel_size: int | None = field(default=None, metadata={"help": "vllm: GPUs that share the model."})
    max_model_len: int | None = field(
        default=None, metadata={"help": "vllm: longest prompt with its response. Default: what the model was made for."}
    )
    gpu_memory_utilization: float | None = field(
        default=None, metadata={"help": "vllm: share of the memory it may take, of each GPU (on CPUs of the machine)."}
    )
    vllm_options: str | None = field(
        default=None,
        metadata={"help": "JSON object with further options of vLLM's engine, as in '{\"enforce_eager\": true}'."},
    )

    def __post_init__(self) -> None:
        check_least(self, {"tensor_parallel_size": 1, "max_model_len": 2})
        if self.gpu_memory_utilization is not None and not 0 < self.gpu_memory_utilization <= 1:
            raise UserError(
                f"gpu_memory_utilization={self.gpu_memory_utilization} must be a share, above 0 and at most 1"
            )

    @property
    def further(self) -> dict[str, Any]:
        """Those without an option of their own."""
        return json_object("vllm_options", self.vllm_options)

    @property
    def of_engine(self) -> dict[str, Any]:
        """All that are given, as `vllm.LLM` takes them."""
        named = {name: value for name, value in asdict(self).items() if name != "vllm_options" and value is not None}
        return named | self.further


OWN_OPTIONS = {
    "model": "the model",
    "revision": "--model_revision",
    **{each.name: f"--{each.name}" for kind in (LocalOptions, VLLMOptions) for each in fields(kind)},
}
"""Engine options that `htpo eval` has options of its own for."""


class VLLMBackend(LocalBackend):
    """Generation with vLLM's offline engine.

    Raises:
        UserError: there is no such model, vLLM is not installed, or an engine option is unknown.
    """

    options = (LocalOptions, VLLMOptions)
    announcement = "Starting vLLM (VLLM_LOGGING_LEVEL=INFO shows its log)"

    def __init__(
        self, model: str, sampling: SamplingOptions, chat: bool | None, local: LocalOptions, engine: VLLMOptions
    ):
        check_engine_options(engine.further)
        super().__init__(model, sampling, chat, local)
        self.engine = engine

    def check(self, prompts: Sequence[Prompt]) -> None:
        super().check(prompts)
        if self.engine.max_model_len is not None:
            check_prompts_fit(prompts, self.tokenizer, self.engine.max_model_len, self.local.template_options)

    def start(self) -> Generator:
        return VLLMGenerator(
            self.model,
            self.tokenizer,
            self.sampling,
            engine_options=self.engine.of_engine,
            **self.local.loading,
            **self.asking,
        )


class VLLMGenerator(Generator):
    """vLLM's offline engine. Every response has a seed of its own; equal prompts share their prefix in its cache.

    Args:
        engine_options: what else `vllm.LLM` takes, by name.

    Raises:
        UserError: vLLM is not installed, an engine option is unknown, or the engine does not start.
    """

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        sampling: SamplingOptions,
        *,
        batch_size: int = 1024,
        revision: str | None = None,
        dtype: str = "auto",
        trust_remote_code: bool = False,
        template_options: Mapping[str, Any] | None = None,
        engine_options: Mapping[str, Any] | None = None,
    ):
        self.tokenizer, self.sampling, self.batch_size = tokenizer, sampling, batch_size
        self.template_options = template_options
        self._vllm = load_vllm()
        # Its own are those of the model's configs; a tokenizer's end token may be missing there.
        self._ends = published_end_tokens(model, tokenizer, revision=revision, trust_remote_code=trust_remote_code)
        if dtype == "auto":
            dtype = stored_dtype(model, revision, trust_remote_code)
        given = {"model": model, "revision": revision, "dtype": dtype, "trust_remote_code": trust_remote_code}
        try:
            self._engine = self._vllm.LLM(**given, **{"load_format": "safetensors", **(engine_options or {})})
        except (OSError, ValueError, ImportError, RuntimeError, TypeError) as error:
            raise UserError(f"vLLM does not start with {model!r}: {first_line(error)} {IN_NEED}") from error

    @property
    def longest_context(self) -> int:
        length: int = self._engine.llm_engine.model_config.max_model_len
        return length

    def beyond_context(self, prompts: Sequence[Prompt]) -> str | None:
        """The same of the engine's model length. Raises `UserError` where a prompt alone is as long."""
        length = self.longest_context
        tokenized = check_prompts_fit(prompts, self.tokenizer, length, self.template_options)
        said = beyond_length(tokenized, self.sampling.max_tokens, length)
        return said and f"{said} may use here (--max_model_len); responses are cut there"

    def generate(self, task: str, requests: Sequence[Request], done: Set[Key]) -> Iterator[list[Response]]:
        """A list per `batch_size` responses."""
        wanted = [request for request in requests if request.key not in done]
        for start in range(0, len(wanted), self.batch_size):
            asked = wanted[start : start + self.batch_size]
            prompts = tokenize_prompts([request.prompt for request in asked], self.tokenizer, self.template_options)
            outputs = self._outputs(
                prompts, [self._parameters(self.sampling.max_tokens, task, *request.key) for request in asked]
            )
            yield [
                Response(
                    request,
                    as_sent(request.prompt, self.tokenizer, self.template_options),
                    output.outputs[0].text,
                    len(output.outputs[0].token_ids),
                    output.outputs[0].finish_reason == "stop",
                )
                for request, output in zip(asked, outputs, strict=True)
            ]

    def play(
        self, task: str, settings: EpisodeSettings, requests: Sequence[EpisodeRequest], done: Set[Key]
    ) -> Iterator[list[Played]]:
        """A list per `batch_size` episodes, which take their turns together; every turn has a seed of its own."""
        player = token_player(settings, self.tokenizer, self.template_options, self.sampling, self.longest_context)
        wanted = [request for request in requests if request.key not in done]
        for start in range(0, len(wanted), self.batch_size):
            asked = wanted[start : start + self.batch_size]
            rows = player.begin([request.task for request in asked], [settings.seed] * len(asked))
            keys = {row: request.key for row, request in zip(rows, asked)}

            def sample(living: list[EpisodeRow], keys: Mapping[EpisodeRow, Key] = keys) -> list[Turn]:
                seeds = [(task, *keys[row], len(row.turns)) for row in living]
                parameters = [self._parameters(settings.max_turn_tokens, *parts) for parts in seeds]
                outputs = self._outputs([row.context for row in living], parameters)
                return [Turn(list(output.outputs[0].token_ids)) for output in outputs]

            play_rounds(player.rounds(rows), sample)
            yield [played(request, row, player.turns, self._ends) for request, row in zip(asked, rows)]

    def _outputs(self, prompts: Sequence[Sequence[int]], parameters: list[Any]) -> Any:
        """What the engine makes of each prompt (token ids)."""
        asked = [{"prompt_token_ids": list(ids)} for ids in prompts]
        return self._engine.generate(asked, parameters, use_tqdm=False)

    def _parameters(self, max_tokens: int, *seed: object) -> Any:
        """How a response or a turn is drawn.

        Args:
            seed: what its seed depends on, beside the seed of all.
        """
        return self._vllm.SamplingParams(
            n=1,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            max_tokens=max_tokens,
            stop_token_ids=self._ends,
            seed=derived_seed(self.sampling.seed, *seed),
        )


def load_vllm() -> ModuleType:
    """The package, told to log only what goes wrong. Raises `UserError` where it is not installed."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")  # it is read at the import, here and in its processes
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise UserError('--backend vllm needs vLLM: pip install "htpo[vllm]", or leave the option out') from error


def stored_dtype(model: str, revision: str | None, trust_remote_code: bool) -> str:
    """What vLLM is told so that weights stay as they are stored: its own "auto" rounds float32 to 16 bits."""
    config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
    return "float32" if config.get_text_config().dtype == torch.float32 else "auto"


def check_prompts_fit(
    prompts: Sequence[Prompt], tokenizer: Any, length: int, template_options: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """The token ids of prompts that leave room for a response.

    Raises:
        UserError: one has as many tokens as prompt and response may have together.
    """
    tokenized = tokenize_prompts(prompts, tokenizer, template_options)
    longest = max(map(len, tokenized))
    if longest >= length:
        raise UserError(
            f"a prompt has {longest} tokens and the engine takes {length} with the response: raise --max_model_len, or "
            "leave the prompt out"
        )
    return tokenized


def check_engine_options(given: Mapping[str, Any]) -> None:
    """Look at `--vllm_options` before anything is loaded.

    Raises:
        UserError: vLLM is not installed, or does not know one, or `htpo eval` has an option of its own for it.
    """
    known = {each.name for each in fields(load_vllm().EngineArgs) if not each.name.startswith("_")}
    for name in given:
        if name in OWN_OPTIONS:
            raise UserError(f"vllm_options: {name} has an option of its own, {OWN_OPTIONS[name]}")
        if name == "hf_token":
            raise UserError("vllm_options: hf_token would be stored with the evaluation: set the variable HF_TOKEN")
    unknown = [name for name in given if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        raise UserError(f"vllm_options: this vLLM has no engine option {', '.join(map(repr, unknown))}{hint}")
