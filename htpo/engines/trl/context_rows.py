"""Episodes whose oldest turns left, as the rows that a model has to read: each turn after what it was sampled after."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from htpo.playing.player import EpisodeRow

HISTORY = "history"
"""Among the host's tensors, with a history length: (B, T) int32, see `history_places`."""


def history_places(row: EpisodeRow) -> list[int]:
    """Of each id of a response, from 1, the place in it at which the history begins that it was sampled after.

    0 where it was not sampled. The history goes on from there to the turn's beginning; the prompt stands before it.
    """
    begins = [1]  # of each turn
    for turn, shown in zip(row.turns, [*row.shown, []], strict=False):
        begins.append(begins[-1] + len(turn.ids) + len(shown))
    return [begins[row.forgotten[number - 1]] if number else 0 for number in row.turn_numbers]


@dataclass(frozen=True)
class ContextRows:
    """R rows for B episodes: turns in a row belong to one as long as none has left.

    What a row scores is a stretch of an episode's response from its first sampled token to its last; before it stand
    the prompt and the history of that time. Every sampled token is in one row alone.

    Attributes:
        input_ids, attention_mask: (R, L); contexts are padded on the left, stretches on the right.
        tokens: columns of the stretches, the last ones.
        places: (R, tokens) int64, where each of them belongs in (B, T) laid flat; -1 for padding.
        shape: (B, T).
    """

    input_ids: Tensor
    attention_mask: Tensor
    tokens: int
    places: Tensor
    shape: tuple[int, int]

    @classmethod
    def of(cls, input_ids: Tensor, attention_mask: Tensor, history: Tensor) -> "ContextRows":
        """The rows of a batch.

        An episode without a token in the mask has none. Where all are such, there is one all the same, of one token:
        a model on several processes must be called by all.

        Args:
            input_ids, attention_mask: (B, P + T), prompt and response.
            history: (B, T), see `history_places`.
        """
        count, width = history.shape
        prompt_width = input_ids.shape[1] - width
        known = (history * attention_mask[:, prompt_width:]).tolist()
        stretches = [(row, *part) for row, places in enumerate(known) for part in _stretches(places)] or [(0, 0, 0, 1)]
        device = input_ids.device
        contexts, scored, where = [], [], []
        for row, start, first, end in stretches:
            prompt = input_ids[row, :prompt_width][attention_mask[row, :prompt_width].bool()]
            response = input_ids[row, prompt_width:]
            contexts.append(torch.cat([prompt, response[start:first]]))
            scored.append(response[first:end])
            where.append(torch.arange(first, end, device=device) + row * width)
        before, tokens = (max(map(len, parts)) for parts in (contexts, scored))

        def padded(parts: list[Tensor], after: list[Tensor]) -> Tensor:
            return torch.stack(
                [
                    pad(torch.cat([left, right]), (before - len(left), tokens - len(right)))
                    for left, right in zip(parts, after, strict=True)
                ]
            )

        return cls(
            padded(contexts, scored),
            padded([torch.ones_like(each) for each in contexts], [torch.ones_like(each) for each in scored]),
            tokens,
            torch.stack([pad(each, (0, tokens - len(each)), value=-1) for each in where]),
            (count, width),
        )

    def cut(self, values: Tensor) -> Tensor:
        """(R, tokens): what stands in (B, T) at the place of each; 0 for padding."""
        return values.flatten()[self.places.clamp(min=0)] * (self.places >= 0)

    def back(self, scores: Tensor) -> Tensor:
        """(B, T): what was scored of each token, (R, tokens), at its place; 0 elsewhere."""
        real = self.places >= 0
        flat = scores.new_zeros(self.shape[0] * self.shape[1])
        return flat.index_put((self.places[real],), scores[real]).view(self.shape)


def _stretches(places: list[int]) -> list[tuple[int, int, int]]:
    """(where the history begins, first token, end) of each stretch of a response, from its `history_places`."""
    found: dict[int, tuple[int, int]] = {}
    for position, place in enumerate(places):
        if place:
            first, _ = found.get(place, (position, position))
            found[place] = first, position + 1
    return [(place - 1, *stretch) for place, stretch in found.items()]
