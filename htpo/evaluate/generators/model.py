"""A model at hand as a generator, by transformers."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from htpo.evaluate.generators.sampling import batches_by_length, sample_batch, sampling_settings, seeded
from htpo.evaluate.generators.turn_sampler import play_together
from htpo.evaluate.generators.vocabulary import (
    EpisodeRequest,
    EpisodeSettings,
    Generator,
    Key,
    Played,
    Request,
    Response,
    SamplingOptions,
    derived_seed,
)
from htpo.playing.player import EpisodeRow, Player, Turns
from htpo.playing.turn_tokens import TurnTokens
from htpo.tasks.prompts import Prompt, as_sent, tokenize_prompts


class ModelGenerator(Generator):
    """Batches of prompts of about the same length, each under a seed of its own.

    A batch's seed depends on the task, the batch size and the first response of the batch, so an evaluation that was
    stopped and goes on draws what it would have drawn, with the same `batch_size`, machine and versions. The caller's
    random state and the model's mode are left as they were.

    Args:
        batch_size: responses generated at once, at most.
        template_options: of the tokenizer's chat template.

    Raises:
        UserError: no token ends a response of the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        sampling: SamplingOptions,
        *,
        batch_size: int = 64,
        template_options: Mapping[str, Any] | None = None,
    ):
        self.model, self.tokenizer, self.sampling, self.batch_size = model, tokenizer, sampling, batch_size
        self.template_options = template_options
        self._settings = sampling_settings(model, tokenizer, sampling)

    def generate(self, task: str, requests: Sequence[Request], done: Set[Key]) -> Iterator[list[Response]]:
        """A list per batch; a batch of which nothing is wanted any more is not generated."""
        prompts = {request.problem: request.prompt for request in requests}
        ids = dict(zip(prompts, tokenize_prompts(list(prompts.values()), self.tokenizer, self.template_options)))
        sent = {number: as_sent(prompt, self.tokenizer, self.template_options) for number, prompt in prompts.items()}
        for batch in batches_by_length([len(ids[request.problem]) for request in requests], self.batch_size):
            asked = [requests[position] for position in batch]
            if all(request.key in done for request in asked):
                continue
            with seeded(self.model, derived_seed(self.sampling.seed, task, self.batch_size, *asked[0].key)):
                drawn = sample_batch(
                    self.model, self.tokenizer, [ids[request.problem] for request in asked], self._settings
                )
            ended = [bool(tokens) and tokens[-1] in self._settings.eos_token_id for tokens in drawn]
            kept = [tokens[:-1] if end else tokens for tokens, end in zip(drawn, ended)]
            texts = self.tokenizer.batch_decode(kept, skip_special_tokens=True)
            yield [
                Response(request, sent[request.problem], text, len(tokens), end)
                for request, text, tokens, end in zip(asked, texts, drawn, ended)
                if request.key not in done
            ]

    def play(
        self, task: str, settings: EpisodeSettings, requests: Sequence[EpisodeRequest], done: Set[Key]
    ) -> Iterator[list[Played]]:
        """A list per batch, whose episodes take their turns together; see `generate`."""
        player = token_player(settings, self.tokenizer, self.template_options, self.sampling, self.longest_context)
        turn = replace(self.sampling, max_tokens=settings.max_turn_tokens)
        drawing = sampling_settings(self.model, self.tokenizer, turn)
        for start in range(0, len(requests), self.batch_size):
            asked = requests[start : start + self.batch_size]
            if all(request.key in done for request in asked):
                continue
            rows = play_together(
                player,
                self.model,
                drawing,
                [request.task for request in asked],
                environment_seed=settings.seed,
                seed=derived_seed(self.sampling.seed, task, self.batch_size, *asked[0].key),
            )
            yield [
                played(request, row, player.turns, drawing.eos_token_id)
                for request, row in zip(asked, rows)
                if request.key not in done
            ]

    @property
    def longest_context(self) -> int | None:
        return context_of(self.model)

    def beyond_context(self, prompts: Sequence[Prompt]) -> str | None:
        tokenized = tokenize_prompts(prompts, self.tokenizer, self.template_options)
        said = beyond_length(tokenized, self.sampling.max_tokens, self.longest_context)
        return said and f"{said} was made for; what it writes there may be nonsense"


def context_of(model: PreTrainedModel) -> int | None:
    """Tokens that a model was made for, where its configuration says so."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def token_player(
    settings: EpisodeSettings,
    tokenizer: Any,
    template_options: Mapping[str, Any] | None,
    sampling: SamplingOptions,
    longest_context: int | None,
) -> Player:
    """A player for a model whose tokens are known."""
    turns = TurnTokens(settings.told, tokenizer, template_options)
    return Player(
        settings.worlds,
        turns,
        settings.max_turn_tokens,
        sampling.max_tokens,
        longest_context,
        oldest_leave=True,
        history_length=settings.history_length,
    )


def played(request: EpisodeRequest, row: EpisodeRow, turns: Turns, ends: Sequence[int]) -> Played:
    """An episode of a model whose tokens are known.

    Args:
        ends: ids of the tokens that end a turn.
    """
    cut_off = [turn.ids[-1] not in ends for turn in row.turns]
    return Played(request, row, turns, [len(turn.ids) for turn in row.turns], cut_off)


def beyond_length(prompts: Sequence[Sequence[int]], max_tokens: int, length: int | None) -> str | None:
    """The start of what is to be said where the longest prompt and response are longer than `length`; else None."""
    longest = max(map(len, prompts))
    if length is None or longest + max_tokens <= length:
        return None
    return f"prompts of up to {longest} tokens and --max_tokens {max_tokens} go beyond the {length} that the model"
