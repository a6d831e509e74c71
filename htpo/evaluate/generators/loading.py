"""Loading models and their tokenizers."""

from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.errors import UserError
from htpo.evaluate.generators.end_tokens import published_end_tokens

SAFELY = {"use_safetensors": True}
"""How transformers is told to read weights, wherever it does."""
PICKLED = ("pytorch_model*.bin", "*.pt", "*.pth")


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


def load_model(model: str, **options: Any) -> Any:
    """A causal language model, from safetensors files alone.

    Args:
        model: Hugging Face id or folder.
        options: of transformers' `from_pretrained`.

    Raises:
        UserError: there is none.
    """
    check_weights(model)
    try:
        return AutoModelForCausalLM.from_pretrained(model, **SAFELY, **options)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"cannot load a model from {model!r}: {_why(model, error)}") from error


def check_weights(model: str) -> None:
    """Refuse a folder whose weights are pickled, in which there may be code, before anything else is loaded.

    Raises:
        UserError: they are.
    """
    folder = Path(model)
    pickled = sorted(each.name for pattern in PICKLED for each in folder.glob(pattern))
    if pickled and not any(folder.glob("*.safetensors")):
        raise UserError(
            f"{model}: its weights are pickled ({pickled[0]}), and such files may hold code. Where you trust them, "
            "write the model anew with save_pretrained of transformers, which makes safetensors files"
        )


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
