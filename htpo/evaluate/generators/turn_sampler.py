"""A model of transformers that goes on with episodes: what it has read of them it need not read again."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, GenerationConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from htpo.evaluate.generators.sampling import seeded, up_to_end
from htpo.playing.player import EpisodeRow, Player, Turn

LEAST_READ = 3  # ids of a sequence that can be read but for its last two


class TurnSampler:
    """Samples the next turn of every sequence, and keeps keys and values for the one after that.

    Sequences that go on from the last call's (in the same order, some may be gone) are fed only what is new. Others
    among them (such as have lost their oldest turns), and all those of a model whose attention is not to all tokens
    before, are read from their beginning. Use one for one batch of episodes, within `torch.no_grad()`: the kept keys
    and values are those of the model as it is.

    Args:
        settings: how a turn is sampled; with `max_new_tokens`, and ids for the end and for padding.
    """

    def __init__(self, model: PreTrainedModel, settings: GenerationConfig):
        self.model, self.settings = model, copy(settings)
        self.settings.use_cache = True
        self._keeps = settings.cache_implementation is None and _attends_to_all(model)
        self._pad = settings.pad_token_id
        self._known: list[list[int]] = []  # of the last call, turns with them
        self._ids, self._real, self._cache = self._nothing()

    def __call__(self, contexts: list[list[int]]) -> list[Turn]:
        """A turn of each sequence of ids."""
        rows = self._rows_that_go_on(contexts)
        kept = [row for row in rows if row is not None]
        others = [place for place, row in enumerate(rows) if row is None]
        if not kept or any(len(contexts[place]) < LEAST_READ for place in others):
            self._ids, self._real, self._cache = self._nothing()
            self._append(contexts)
        else:
            self._keep(torch.tensor(kept, device=self._ids.device))
            if others:
                self._put_between([contexts[place][:-1] for place in others], others)
            self._append(
                [
                    context[-1:] if row is None else context[len(self._known[row]) :]
                    for context, row in zip(contexts, rows)
                ]
            )
        turns = self._generate()
        self._known = [context + turn for context, turn in zip(contexts, turns)]
        return [Turn(turn) for turn in turns]

    def _nothing(self) -> tuple[Tensor, Tensor, DynamicCache]:
        """Ids, which of them are real, keys and values."""
        empty = torch.zeros(0, 0, dtype=torch.long, device=self.model.device)
        return empty, empty, DynamicCache(config=self.model.config)

    def _rows_that_go_on(self, contexts: list[list[int]]) -> list[int | None]:
        """The row of the last call that each sequence goes on from; None where it goes on from none."""
        known = self._known if self._keeps else []
        rows: list[int | None] = []
        start = 0
        for context in contexts:
            later = range(start, len(known))
            rows.append(next((row for row in later if context[: len(known[row])] == known[row]), None))
            start = start if rows[-1] is None else rows[-1] + 1
        return rows

    def _keep(self, rows: Tensor) -> None:
        """Drop the other rows, and what is padding in all: each row's is moved to its left. The last place of all has
        not been read so far."""
        self._ids, self._real = self._ids[rows], self._real[rows]
        read = self._real[:, :-1]
        order = read.argsort(dim=1, stable=True)[:, read.shape[1] - int(read.sum(1).max()) :]
        self._ids = torch.cat([self._ids.gather(1, order), self._ids[:, -1:]], 1)
        self._real = torch.cat([self._real.gather(1, order), self._real[:, -1:]], 1)
        self._cache.batch_select_indices(rows)
        for layer in self._cache.layers:
            for name in ("keys", "values"):
                kept = getattr(layer, name)
                places = order[:, None, :, None].expand(-1, kept.shape[1], -1, kept.shape[3])
                setattr(layer, name, kept.gather(2, places))

    def _put_between(self, sequences: list[list[int]], places: list[int]) -> None:
        """Read others but for the last id of each, as of all rows, and put them where they belong among all."""
        ids, real = self._padded(sequences)
        cache = DynamicCache(config=self.model.config)
        reading = GenerationConfig(do_sample=False, max_new_tokens=1)
        reading.pad_token_id = self._pad
        self.model.generate(
            input_ids=ids[:, :-1], attention_mask=real[:, :-1], generation_config=reading, past_key_values=cache
        )
        count = len(self._ids)
        stays = [place for place in range(count + len(places)) if place not in places]
        order = torch.tensor([*stays, *places], device=ids.device).argsort()
        self._ids, self._real = _joined(self._ids, ids, 1)[order], _joined(self._real, real, 1)[order]
        for layer, new in zip(self._cache.layers, cache.layers, strict=True):
            for name in ("keys", "values"):
                setattr(layer, name, _joined(getattr(layer, name), getattr(new, name), 2)[order])

    def _padded(self, sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Ids padded on the left, and which of them are real."""
        width = max(map(len, sequences))
        ids = [[self._pad] * (width - len(new)) + new for new in sequences]
        real = [[0] * (width - len(new)) + [1] * len(new) for new in sequences]
        return torch.tensor(ids, device=self.model.device), torch.tensor(real, device=self.model.device)

    def _append(self, sequences: list[list[int]]) -> None:
        """New ids of every row, padded on the left, so that every row ends with one that is real."""
        ids, real = self._padded(sequences)
        old_ids, old_real = (old.reshape(len(sequences), -1) for old in (self._ids, self._real))
        self._ids, self._real = torch.cat([old_ids, ids], 1), torch.cat([old_real, real], 1)

    def _generate(self) -> list[list[int]]:
        before = self._ids.shape[1]
        kept: dict[str, Any] = {"past_key_values": self._cache} if self._keeps else {}
        self._ids = self.model.generate(
            input_ids=self._ids, attention_mask=self._real, generation_config=self.settings, **kept
        )
        new = self._ids[:, before:]
        in_turn = up_to_end(new, self.settings)
        self._real = torch.cat([self._real, in_turn.long()], 1)
        return [ids[:length] for ids, length in zip(new.tolist(), in_turn.sum(1).tolist())]


def _joined(one: Tensor, other: Tensor, dim: int) -> Tensor:
    """The rows of both, the shorter ones filled up with zeros before them along `dim`."""
    width = max(one.shape[dim], other.shape[dim])
    after = [0] * 2 * (one.dim() - 1 - dim)
    return torch.cat([pad(each, [*after, width - each.shape[dim], 0]) for each in (one, other)])


def play_together(
    player: Player,
    model: PreTrainedModel,
    settings: GenerationConfig,
    tasks: Sequence[Mapping[str, Any]],
    *,
    environment_seed: int,
    seed: int,
) -> list[EpisodeRow]:
    """An episode of each task, their turns together.

    Args:
        settings: see `TurnSampler`.
        environment_seed: the same for all.
        seed: of the sampling.
    """
    with seeded(model, seed), torch.inference_mode():
        return player.play(tasks, [environment_seed] * len(tasks), TurnSampler(model, settings))


def _attends_to_all(model: PreTrainedModel) -> bool:
    """Whether every layer keeps all keys, for which places of padding between real ones make no difference."""
    if not model._supports_default_dynamic_cache():
        return False
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
