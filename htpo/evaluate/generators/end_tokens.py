"""Which tokens end a response: decided once, for generation, for what counts as cut off, and for every backend."""

from contextlib import suppress
from typing import Any

from transformers import AutoConfig, GenerationConfig, PreTrainedModel

from htpo.errors import UserError


def end_tokens(model: PreTrainedModel, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a response of a loaded model, in ascending order.

    All that the tokenizer, the generation config and the model's config name. A tokenizer's end token is often missing
    in the generation config, and the other way round; leaving one out makes finished responses run on to the limit.

    Raises:
        UserError: none of them names one.
    """
    return _union(tokenizer, [model.generation_config, model.config.get_text_config()])


def published_end_tokens(
    model: str, tokenizer: Any, *, revision: str | None = None, trust_remote_code: bool = False
) -> list[int]:
    """The same for a model that another program loads: a Hugging Face id or a folder.

    Raises:
        UserError: none of its files names one.
    """
    configs = []
    with suppress(OSError):  # many models have none
        configs.append(GenerationConfig.from_pretrained(model, revision=revision))
    try:
        config = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=trust_remote_code)
        configs.append(config.get_text_config())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the configuration of {model!r}: {' '.join(str(error).split())}") from error
    return _union(tokenizer, configs)


def _union(tokenizer: Any, configs: list[Any]) -> list[int]:
    ids: set[int] = set()
    for source in (tokenizer, *configs):
        named = getattr(source, "eos_token_id", None)
        ids.update(named if isinstance(named, list | tuple) else [] if named is None else [named])
    if not ids:
        raise UserError(
            "no token ends a response: neither the tokenizer nor the model's configuration names one; set "
            "eos_token in tokenizer_config.json or eos_token_id in generation_config.json"
        )
    return sorted(ids)
