"""The backends of `htpo eval` by name."""

from htpo.evaluate.generators.backend import Backend
from htpo.evaluate.generators.server import ServerBackend
from htpo.evaluate.generators.transformers_backend import TransformersBackend
from htpo.evaluate.generators.vllm_engine import VLLMBackend

BACKENDS: dict[str, type[Backend]] = {  # the first is the default
    "transformers": TransformersBackend,
    "vllm": VLLMBackend,
    "server": ServerBackend,
}
