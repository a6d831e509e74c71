"""Backend transformers: a model is loaded into this process, on the accelerator where there is one."""

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager

import torch

from htpo.errors import UserError
from htpo.evaluate.generators.loading import load_model
from htpo.evaluate.generators.local import LocalBackend
from htpo.evaluate.generators.model import ModelGenerator
from htpo.evaluate.generators.vocabulary import (
    EpisodeRequest,
    EpisodeSettings,
    Generator,
    Key,
    Played,
    Request,
    Response,
)


class TransformersBackend(LocalBackend):
    """Generation with transformers."""

    def start(self) -> Generator:
        model = load_model(self.model, **self.local.loading)
        model = model.to(torch.accelerator.current_accelerator() or "cpu")
        return LoadedGenerator(model, self.tokenizer, self.sampling, **self.asking)


class LoadedGenerator(ModelGenerator):
    """A `ModelGenerator` that says which options to change when memory is not enough."""

    def generate(self, task: str, requests: Sequence[Request], done: Set[Key]) -> Iterator[list[Response]]:
        with self._remedy():
            yield from super().generate(task, requests, done)

    def play(
        self, task: str, settings: EpisodeSettings, requests: Sequence[EpisodeRequest], done: Set[Key]
    ) -> Iterator[list[Played]]:
        with self._remedy():
            yield from super().play(task, settings, requests, done)

    @contextmanager
    def _remedy(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"out of memory with --batch_size {self.batch_size} and --max_tokens {self.sampling.max_tokens}: "
                "go on with --resume and a smaller --batch_size"
            ) from error
