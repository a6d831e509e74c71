"""Generation in this process, with vLLM's offline engine where it is installed."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields
from types import ModuleType
from typing import Any

from htpo.errors import UserError
from htpo.evaluate.generators.end_tokens import published_end_tokens
from htpo.evaluate.generators.local_models import beyond_length, first_line
from htpo.evaluate.generators.vocabulary import Request, Response, SamplingOptions, derived_seed
from htpo.tasks.prompts import Prompt, as_sent, tokenize_prompts

OWN_OPTIONS = {
    "model": "the model",
    "revision": "--model_revision",
    **{
        name: f"--{name}"
        for name in ("dtype", "trust_remote_code", "tensor_parallel_size", "max_model_len", "gpu_memory_utilization")
    },
}
"""Engine options that `htpo eval` has options of its own for."""
IN_NEED = "(what its processes wrote stands above; --gpu_memory_utilization and --max_model_len bound its memory)"


class VLLMGenerator:
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
        given = {"model": model, "revision": revision, "dtype": dtype, "trust_remote_code": trust_remote_code}
        try:
            self._engine = self._vllm.LLM(**given, **(engine_options or {}))
        except (OSError, ValueError, ImportError, RuntimeError, TypeError) as error:
            raise UserError(f"vLLM does not start with {model!r}: {first_line(error)} {IN_NEED}") from error

    def beyond_context(self, prompts: Sequence[Prompt]) -> str | None:
        """What is to be said where prompt and response may be longer than the engine's model length; else None.

        Raises:
            UserError: a prompt alone is as long.
        """
        length = self._engine.llm_engine.model_config.max_model_len
        tokenized = check_prompts_fit(prompts, self.tokenizer, length, self.template_options)
        said = beyond_length(tokenized, self.sampling.max_tokens, length)
        return said and f"{said} may use here (--max_model_len); responses are cut there"

    def generate(self, task: str, requests: Sequence[Request], done: Set[tuple[int, int]]) -> Iterator[list[Response]]:
        """A list per `batch_size` responses."""
        wanted = [request for request in requests if (request.problem, request.sample) not in done]
        for start in range(0, len(wanted), self.batch_size):
            asked = wanted[start : start + self.batch_size]
            prompts = tokenize_prompts([request.prompt for request in asked], self.tokenizer, self.template_options)
            outputs = self._engine.generate(
                [{"prompt_token_ids": list(ids)} for ids in prompts],
                [self._parameters(task, request) for request in asked],
                use_tqdm=False,
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

    def _parameters(self, task: str, request: Request) -> Any:
        return self._vllm.SamplingParams(
            n=1,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            max_tokens=self.sampling.max_tokens,
            stop_token_ids=self._ends,
            seed=derived_seed(self.sampling.seed, task, request.problem, request.sample),
        )


def load_vllm() -> ModuleType:
    """The package, told to log only what goes wrong. Raises `UserError` where it is not installed."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")  # it is read at the import, here and in its processes
    try:
        import vllm
    except ImportError as error:
        raise UserError('--backend vllm needs vLLM: pip install "htpo[vllm]", or leave the option out') from error
    return vllm


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
