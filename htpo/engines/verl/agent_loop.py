"""One verl session is one episode: sampled ids are carried as they are, and only they are in the mask."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput, register

from htpo.environments import EnvironmentWorkers, Episode
from htpo.playing.formats import prompt_format
from htpo.playing.player import EpisodeRow, Turn
from htpo.playing.turn_tokens import TurnTokens
from htpo.playing.verdicts import EPISODE, EpisodeVerifier

AGENT = "htpo_episode"

_lock = threading.Lock()
_worlds: dict[str, EnvironmentWorkers] = {}


def _reset(label: str, task: dict[str, Any], seed: int) -> Episode:
    with _lock:
        worlds = _worlds.get(label) or EnvironmentWorkers(label)
        _worlds[label] = worlds
        return worlds.reset([task], [seed])[0]


def _step(label: str, episode: Episode, action: str | None) -> None:
    with _lock:
        _worlds[label].step([episode], [action])


def _end(label: str, episodes: Sequence[Episode]) -> None:
    with _lock:
        _worlds[label].end(list(episodes))


@register(AGENT)
class EpisodeAgentLoop(AgentLoopBase):
    """Plays the episode of a row's `environment_row`: `environment`, `task` and `seed`."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """The episode as one row."""
        told = kwargs["environment_row"]
        label = told["environment"]
        format_ = prompt_format(None, has_chat_template=bool(getattr(self.tokenizer, "chat_template", None)))
        turns = TurnTokens(format_, self.tokenizer, self.apply_chat_template_kwargs)
        episode = await asyncio.to_thread(_reset, label, told["task"], told["seed"])
        row = EpisodeRow(episode, turns.first(episode.observation))
        request = uuid4().hex
        limit = self.rollout_config.response_length
        while not episode.done:
            output = await self.server_manager.generate(
                request_id=request, prompt_ids=row.prompt + row.response, sampling_params=dict(sampling_params)
            )
            row.take(Turn(list(output.token_ids), output.log_probs))
            await asyncio.to_thread(_step, label, episode, turns.action(output.token_ids))
            if not episode.done:
                shown = turns.following(output.token_ids, episode.observation)
                if len(row.response) + len(shown) >= limit:
                    row.overflowed = True
                    await asyncio.to_thread(_end, label, [episode])
                    break
                row.show(shown)
        verdict = EpisodeVerifier().judge([""], [{EPISODE: row}])[0]
        return AgentLoopOutput(
            prompt_ids=row.prompt,
            response_ids=row.response[:limit],
            response_mask=[int(sampled) for sampled in row.sampled[:limit]],
            response_logprobs=row.log_probs[:limit] if row.log_probs else None,
            reward_score=float(verdict.correct),
            num_turns=2 * len(episode.actions),
            metrics=AgentLoopMetrics(),
            extra_fields={"reward_extra_info": {"acc": float(verdict.correct)}},
        )
