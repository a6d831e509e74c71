"""Generation in this process, with transformers; and what every local engine needs."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.errors import UserError
from htpo.evaluate.generators.end_tokens import published_end_tokens
from htpo.evaluate.generators.sampling import batches_by_length, sample_batch, sampling_settings, seeded
from htpo.evaluate.generators.vocabulary import Request, Response, SamplingOptions, derived_seed
from htpo.tasks.prompts import Prompt, as_sent, tokenize_prompts


def load_tokenizer(model: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model, with a padding token.

    Raises:
        UserError: there is none.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot load a model from {model!r}: {first_line(error)} Give a folder, a Hugging Face id, or a model's "
            "name on a server with --base_url"
        ) from error
    if tokenizer.pad_token is None:
        ends = published_end_tokens(model, tokenizer, revision=revision, trust_remote_code=trust_remote_code)
        tokenizer.pad_token_id = ends[0] if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return tokenizer


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
            raise UserError(f"cannot load a model from {model!r}: {first_line(error)}") from error
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
        tokenized = tokenize_prompts(prompts, self.tokenizer, self.template_options)
        said = beyond_length(tokenized, self.sampling.max_tokens, made_for)
        return said and f"{said} was made for; what it writes there may be nonsense"

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
            ended = [bool(ids) and ids[-1] in self.settings.eos_token_id for ids in tokens]
            kept = [ids[:-1] if end else ids for ids, end in zip(tokens, ended)]
            texts = self.tokenizer.batch_decode(kept, skip_special_tokens=True)
            yield [
                Response(
                    request,
                    as_sent(request.prompt, self.tokenizer, self.template_options),
                    text,
                    len(ids),
                    end,
                )
                for request, text, ids, end in zip(asked, texts, tokens, ended)
                if (request.problem, request.sample) not in done
            ]


def beyond_length(prompts: Sequence[Sequence[int]], max_tokens: int, length: int | None) -> str | None:
    """The start of what is to be said where the longest prompt and response are longer than `length`; else None."""
    longest = max(map(len, prompts))
    if length is None or longest + max_tokens <= length:
        return None
    return f"prompts of up to {longest} tokens and --max_tokens {max_tokens} go beyond the {length} that the model"


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
