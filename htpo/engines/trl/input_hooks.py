"""One hook that makes a model's inputs need gradients, however often the host switches gradient checkpointing on."""

from types import MethodType
from typing import Any


def keep_one_input_hook(model: Any) -> None:
    """See that `model` has its hook once.

    TRL 1.16 switches gradient checkpointing off and on around every generation, and again around scoring what was
    generated; each time transformers adds a hook to the input embeddings and forgets the one before.

    Args:
        model: transformers' model, or peft's around one.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    base.enable_input_require_grads = MethodType(_enable_anew, base)


def _enable_anew(model: Any) -> None:
    model.disable_input_require_grads()
    type(model).enable_input_require_grads(model)
