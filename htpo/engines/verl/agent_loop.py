"""Episodes of an environment as verl's sessions: rows whose `agent_name` says so are played turn by turn.

verl begins a session for every sample of a prompt, all at once, in each of its agent loop workers. The policy's server
gathers their turns into batches, and the environment's worker processes step several episodes at a time.
"""

import asyncio
import atexit
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from htpo.engines.recording import said_of_episode
from htpo.engines.segments import segments
from htpo.engines.verl.episode_data import PLAYED_BY, PLAYED_TASK, HowPlayed
from htpo.engines.verl.nodes import share_cores
from htpo.engines.verl.reward import POLICY_TOKENS, REWARD_MANAGER
from htpo.engines.verl.reward_settings import MANAGER
from htpo.engines.verl.settings import read_objective
from htpo.environments import EnvironmentWorkers
from htpo.errors import UserError
from htpo.playing.formats import prompt_format
from htpo.playing.measured import MEASURED
from htpo.playing.player import EpisodeRow, Player, Turn, next_round
from htpo.playing.turn_tokens import TurnTokens
from htpo.playing.verdicts import EPISODE

_tokenizing = threading.Lock()
_worlds: dict[tuple[str, str, int | None], EnvironmentWorkers] = {}
"""Environments of this process, which the sessions in it share, by what they are made of."""


class EpisodeAgentLoop:
    """What verl makes for every session of ours, and asks once to `run`.

    Raises:
        UserError: a reward manager other than ours would judge the text of an episode.
    """

    def __init__(self, trainer_config: Any, server_manager: Any, tokenizer: Any, data_config: Any, **others: Any):
        from omegaconf import OmegaConf

        config = trainer_config.config
        if config.reward.reward_manager.name != REWARD_MANAGER:
            raise UserError(f"episodes know how they ended, and another reward manager does not ask them: {MANAGER}")
        self.rollout, self.server, self.tokenizer = config.actor_rollout_ref.rollout, server_manager, tokenizer
        block = OmegaConf.to_container(config.htpo, resolve=True) if config.get("htpo") else {}
        self.reads = _reads(json.dumps(block))
        self.template_options = data_config.config.get("apply_chat_template_kwargs") or {}

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> Any:
        """An episode, as an `AgentLoopOutput` of verl's.

        Args:
            sampling_params: of a turn, as verl has them.
            row: of `EPISODE_LAYOUT`, and `global_steps`, the step of verl's for which it is sampled, from 1.
        """
        from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput
        from verl.utils.profiler import simple_timer

        how, task = HowPlayed.from_json(row["extra_info"][PLAYED_BY]), json.loads(row["extra_info"][PLAYED_TASK])
        asked, priority = {**sampling_params, "max_tokens": how.max_turn_tokens}, int(row.get("priority", 0))
        request = uuid4().hex  # the same for all turns: they go to the server that remembers the earlier ones
        policies: list[int] = []  # by verl's steps, those that took a turn
        seconds: dict[str, float] = {}

        async def sample(context: list[int]) -> Turn:
            with simple_timer("generate_sequences", seconds):
                output = await self.server.generate(
                    request_id=request, prompt_ids=context, sampling_params=dict(asked), priority=priority
                )
            known = (output.extra_fields.get(name) for name in ("min_global_steps", "max_global_steps"))
            policies.extend(step for step in known if step is not None)
            ids, log_probs = list(output.token_ids), output.log_probs
            return Turn(ids, list(log_probs) if log_probs is not None and len(log_probs) == len(ids) else None)

        async def ask(do: Callable[..., Any], *given: Any) -> Any:
            with simple_timer("tool_calls", seconds):
                return await asyncio.to_thread(do, *given)

        turns = self._turns(how)
        played = await self._play(how, turns, task, sample, ask)
        policies = policies or [row["global_steps"] - 1]  # verl does sums with them
        episode, verdict = played.episode, how.verifier.judge([""], [{EPISODE: played}])[0]
        about = {
            "verdict": vars(verdict),
            "said": said_of_episode(played),
            "measured": {name: float(of(played)) for name, of in MEASURED.items()},
            POLICY_TOKENS: sum(played.sampled),
        }
        if not played.response:  # verl needs a token
            played.show([self.tokenizer.eos_token_id])
        about["turn"] = played.turn_numbers
        if "segment" in self.reads:  # which takes some ten decodings a turn
            about["segment"] = await ask(segments, played, turns)
        return AgentLoopOutput(
            prompt_ids=played.prompt,
            response_ids=played.response,
            response_mask=[int(sampled) for sampled in played.sampled],
            response_logprobs=played.log_probs,
            num_turns=2 * len(episode.actions),
            metrics=AgentLoopMetrics(**seconds),
            extra_fields={
                "turn_scores": [],
                "tool_rewards": [],
                "min_global_steps": min(policies),
                "max_global_steps": max(policies),
                EPISODE: about,
            },
        )

    async def _play(
        self,
        how: HowPlayed,
        turns: TurnTokens,
        task: dict[str, Any],
        sample: Callable[[list[int]], Awaitable[Turn]],
        ask: Callable[..., Awaitable[Any]],
    ) -> EpisodeRow:
        """As `Player.play` does it, one episode, whose turns are waited for.

        Args:
            ask: calls a function in a thread.
        """
        room = self.rollout.response_length
        player = Player(self._worlds(how), turns, how.max_turn_tokens, room, self._window())
        (row,) = await ask(player.begin, [task], [how.seed])
        try:
            rounds = player.rounds([row])
            goes_on = next(rounds, None)
            while goes_on:
                goes_on = await ask(next_round, rounds, [await sample(row.context)])
        finally:
            await ask(player.worlds.end, [row.episode])
        return row

    def _turns(self, how: HowPlayed) -> TurnTokens:
        tokenizer = OneAtATime(self.tokenizer)
        told = prompt_format(how.prompt_format, has_chat_template=tokenizer.chat_template is not None)
        return TurnTokens(told, tokenizer, self.template_options)

    def _window(self) -> int:
        """Tokens of an episode and its prompt: verl has room for no more, however long the prompt is."""
        of_both = self.rollout.prompt_length + self.rollout.response_length
        return min(of_both, self.rollout.max_model_len or of_both)

    def _worlds(self, how: HowPlayed) -> EnvironmentWorkers:
        key = how.environment, json.dumps(how.options, sort_keys=True), how.max_steps
        if key not in _worlds:
            share_cores(self.rollout.agent.num_workers)
            _worlds[key] = EnvironmentWorkers(how.environment, how.options, max_steps=how.max_steps)
            atexit.register(_worlds[key].close)
        return _worlds[key]


@cache
def _reads(block: str) -> tuple[str, ...]:
    """What the objective of a block `htpo`, as JSON, reads of episodes."""
    _, objective = read_objective(json.loads(block))
    return objective.reads


@dataclass(frozen=True)
class OneAtATime:
    """A tokenizer that sessions ask from several threads, which it cannot bear at the same time."""

    tokenizer: Any

    def __call__(self, **given: Any) -> Any:
        with _tokenizing:
            return self.tokenizer(**given)

    def decode(self, ids: list[int], **given: Any) -> str:
        with _tokenizing:
            return self.tokenizer.decode(ids, **given)

    def apply_chat_template(self, conversation: Any, **given: Any) -> Any:
        with _tokenizing:
            return self.tokenizer.apply_chat_template(conversation, **given)

    @property
    def chat_template(self) -> str | None:
        return self.tokenizer.chat_template
