"""Generation in this process: with transformers, or with vLLM where it is installed."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.errors import UserError
from htpo.evaluate.end_tokens import published_end_tokens
from htpo.evaluate.generation import Request, Response, SamplingOptions, derived_seed
from htpo.evaluate.sampling import batches_by_length, sample_batch, sampling_settings, seeded
from htpo.tasks.prompts import Prompt, tokenize_prompts


def load_tokenizer(model: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model, with a padding token.

    Raises:
        UserError: there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot load a model from {model!r}: {_first_line(error)} Give a folder, a Hugging Face id, or a model's "
            "name on a server with --base_url"
        ) from error
    if tokenizer.pad_token is None:
        ends = published_end_tokens(model, tokenizer, revision=revision, trust_remote_code=trust_remote_code)
        tokenizer.pad_token_id = ends[0] if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return tokenizer


def as_sent(prompt: Prompt, tokenizer: Any, template_options: Mapping[str, Any] | None) -> str:
    """A prompt as the model sees it: chat messages through the tokenizer's template."""
    if isinstance(prompt, str):
        return prompt
    return tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False, **(template_options or {}))


class TransformersGenerator:
    """Batches of prompts of about the same length, each under a seed of its own.

    A batch's seed depends on the task, the batch size and the first response of the batch, so an evaluation that was
    stopped and goes on draws what it would have drawn, with the same `batch_size`, machine and versions.

    Raises:
        UserError: the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        tokenizer: Any,
        sampling: SamplingOptions,
        *,
        batch_size: int = 64,
        revision: str | None = None,
        dtype: str = "auto",
        trust_remote_code: bool = False,
        template_options: Mapping[str, Any] | None = None,
    ):
        self.tokenizer, self.sampling, self.batch_size = tokenizer, sampling, batch_size
        self.template_options = template_options
        try:
            loaded = AutoModelForCausalLM.from_pretrained(
                model, revision=revision, dtype=dtype, trust_remote_code=trust_remote_code
            )
        except (OSError, ValueError, ImportError) as error:
            raise UserError(f"cannot load a model from {model!r}: {_first_line(error)}") from error
        self.model = loaded.to(torch.accelerator.current_accelerator() or "cpu")
        self.settings = sampling_settings(
            self.model,
            tokenizer,
            max_new_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
        )

    def beyond_context(self, prompts: Sequence[Prompt]) -> str | None:
        """What is to be said where prompt and response may be longer than the model was made for; else None."""
        made_for = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        longest = max(map(len, tokenize_prompts(prompts, self.tokenizer, self.template_options)))
        if made_for is None or longest + self.sampling.max_tokens <= made_for:
            return None
        return (
            f"prompts of up to {longest} tokens and --max_tokens {self.sampling.max_tokens} go beyond the {made_for} "
            "that the model was made for; what it writes there may be nonsense"
        )

    def generate(self, task: str, requests: Sequence[Request], done: Set[tuple[int, int]]) -> Iterator[list[Response]]:
        """A list per batch; a batch of which nothing is wanted any more is not generated."""
        prompts = tokenize_prompts([request.prompt for request in requests], self.tokenizer, self.template_options)
        for batch in batches_by_length([len(ids) for ids in prompts], self.batch_size):
            asked = [requests[position] for position in batch]
            if all((request.problem, request.sample) in done for request in asked):
                continue
            seed = derived_seed(self.sampling.seed, task, self.batch_size, asked[0].problem, asked[0].sample)
            try:
                with seeded(self.model, seed):
                    tokens = sample_batch(self.model, self.tokenizer, [prompts[p] for p in batch], self.settings)
            except torch.OutOfMemoryError as error:
                raise UserError(
                    f"out of memory with --batch_size {self.batch_size} and --max_tokens {self.sampling.max_tokens}: "
                    "go on with --resume and a smaller --batch_size"
                ) from error
            texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
            yield [
                Response(
                    request,
                    as_sent(request.prompt, self.tokenizer, self.template_options),
                    text,
                    len(ids),
                    bool(ids) and ids[-1] in self.settings.eos_token_id,
                )
                for request, text, ids in zip(asked, texts, tokens)
                if (request.problem, request.sample) not in done
            ]


class VLLMGenerator:
    """vLLM's offline engine. Every response has a seed of its own; equal prompts share their prefix in its cache.

    Raises:
        UserError: vLLM is not installed.
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
    ):
        try:
            import vllm
        except ImportError as error:
            raise UserError('--backend vllm needs vLLM: pip install "htpo[vllm]", or leave the option out') from error
        self.tokenizer, self.sampling, self.batch_size = tokenizer, sampling, batch_size
        self.template_options = template_options
        self._vllm = vllm
        self._engine = vllm.LLM(model=model, revision=revision, dtype=dtype, trust_remote_code=trust_remote_code)

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
            seed=derived_seed(self.sampling.seed, task, request.problem, request.sample),
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
