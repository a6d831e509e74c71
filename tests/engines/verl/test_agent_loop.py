"""verl's agent loop of episodes, with a server that is scripted."""

import asyncio
import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer

from htpo.engines.recording import said_of_episode
from htpo.engines.segments import segments
from htpo.engines.verl import agent_loop
from htpo.engines.verl.agent_loop import EpisodeAgentLoop
from htpo.engines.verl.episode_data import PLAYED_BY, PLAYED_TASK, HowPlayed
from htpo.environments import EnvironmentWorkers
from htpo.errors import UserError
from htpo.objectives.batch import ACTION, THINKING
from htpo.playing.formats import PROMPT_FORMATS
from htpo.playing.measured import MEASURED
from htpo.playing.player import Player, Turn
from htpo.playing.turn_tokens import TurnTokens
from htpo.playing.verdicts import EPISODE, EpisodeVerifier
from tests.playing.scripted import TEMPLATE, Scripted

pytestmark = pytest.mark.verl

COUNTING = "tests.environments.unruly:Counting"
HOW = HowPlayed(COUNTING, {"total": 4}, None, 0, "compact", 5, EpisodeVerifier())


class Server:
    """Answers as the policy does, and counts the steps of the policy's training; keeps what it was asked."""

    def __init__(self, policy):
        self.policy, self.asked, self.steps = policy, [], 3

    async def generate(self, *, request_id, prompt_ids, sampling_params, priority=0):
        self.asked.append((request_id, list(prompt_ids), sampling_params))
        await asyncio.sleep(0)
        turn = self.policy.turn(list(prompt_ids))
        self.steps += 1
        known = {"min_global_steps": self.steps - 1, "max_global_steps": self.steps}
        return SimpleNamespace(token_ids=turn.ids, log_probs=turn.log_probs, extra_fields=known)


@pytest.fixture(autouse=True)
def _worlds():
    agent_loop._worlds.clear()
    yield
    for worlds in agent_loop._worlds.values():
        worlds.close()


@pytest.fixture
def tokenizer(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = TEMPLATE  # verl cannot do without one
    return tokenizer


def sessions(tokenizer, server, tasks, how=HOW, room=500, prompt_room=500, window=None, manager="htpo", block=None):
    """What the sessions of tasks come to, all of them under way at once."""
    from omegaconf import OmegaConf

    rollout = {"prompt_length": prompt_room, "response_length": room, "max_model_len": window}
    config = OmegaConf.create(
        {
            "actor_rollout_ref": {"rollout": {**rollout, "agent": {"num_workers": 1}}},
            "reward": {"reward_manager": {"name": manager}},
            **({} if block is None else {"htpo": block}),
        }
    )

    async def play():
        loops = [
            EpisodeAgentLoop(
                trainer_config=SimpleNamespace(config=config),
                server_manager=server,
                tokenizer=tokenizer,
                data_config=SimpleNamespace(config={}),
                processor=None,
            )
            for _ in tasks
        ]
        rows = [{"extra_info": {PLAYED_BY: how.to_json(), PLAYED_TASK: json.dumps(task)}} for task in tasks]
        asked = {"temperature": 1.0, "logprobs": True}
        runs = [loop.run(asked, **row, uid="any", global_steps=9) for loop, row in zip(loops, rows, strict=True)]
        return await asyncio.gather(*runs, return_exceptions=True)

    return asyncio.run(play())


def always(tokenizer, text):
    """A policy that says nothing else, and no log-probabilities."""
    return SimpleNamespace(turn=lambda context: Turn(tokenizer(text)["input_ids"]))


def tasks_of(number, **changes):
    with EnvironmentWorkers(COUNTING, workers=1) as worlds:
        return [{**row, **changes} for row in worlds.rows("train", number)]


@pytest.mark.parametrize("told", PROMPT_FORMATS)
def test_a_session_is_what_the_player_of_the_other_engine_makes_of_the_same_policy(tokenizer, told):
    tasks, policy = tasks_of(6), Scripted(tokenizer)
    verifier = EpisodeVerifier(by_score=True, invalid_action_penalty=0.1)
    how = replace(HOW, prompt_format=told, verifier=verifier)
    turns = TurnTokens(PROMPT_FORMATS[told], tokenizer)
    with EnvironmentWorkers(COUNTING, {"total": 4}, workers=1) as worlds:
        expected = Player(worlds, turns, 5, 2000).play(tasks, [0] * 6, policy)
    verdicts = verifier.judge([""] * 6, [{EPISODE: row} for row in expected])
    server = Server(Scripted(tokenizer))
    outputs = sessions(tokenizer, server, tasks, how, 2000, block={"axes": ["segment"]})
    for output, row, verdict in zip(outputs, expected, verdicts, strict=True):
        assert (output.prompt_ids, output.response_ids) == (row.prompt, row.response)
        assert output.response_mask == row.sampled
        assert output.response_logprobs == row.log_probs
        assert output.num_turns == 2 * len(row.episode.actions)
        assert output.reward_score is None, "the reward manager says it, as it shapes it by length"
        played = output.extra_fields[EPISODE]
        assert played["verdict"] == vars(verdict)
        assert played["said"] == said_of_episode(row)
        assert played["measured"] == {name: of(row) for name, of in MEASURED.items()}
        assert played["turn"] == row.turn_numbers
        assert played["segment"] == segments(row, turns)
        assert set(played["segment"]) == {0, ACTION if told == "compact" else THINKING}  # it knows no tags
        assert output.as_dict()["response_mask"].sum() == sum(row.sampled)


def test_all_turns_of_an_episode_are_asked_of_one_server_and_the_policies_that_took_them_are_known(tokenizer):
    server = Server(Scripted(tokenizer))
    first, second = outputs = sessions(tokenizer, server, tasks_of(2))
    requests = [request for request, _, _ in server.asked]
    assert len(set(requests)) == 2
    assert len(requests) == (first.num_turns + second.num_turns) / 2
    assert {asked["max_tokens"] for _, _, asked in server.asked} == {5}
    assert min(output.extra_fields["min_global_steps"] for output in outputs) == 3
    assert max(output.extra_fields["max_global_steps"] for output in outputs) == server.steps
    assert first.extra_fields["min_global_steps"] < first.extra_fields["max_global_steps"]


def test_several_episodes_step_at_once(tokenizer, monkeypatch):
    together = threading.Barrier(3)
    step = EnvironmentWorkers.step

    def meeting(worlds, episodes, actions):
        together.wait(timeout=20)  # raises where the others wait for their turn
        step(worlds, episodes, actions)

    monkeypatch.setattr(EnvironmentWorkers, "step", meeting)
    outputs = sessions(tokenizer, Server(always(tokenizer, "1")), tasks_of(3))
    assert [output.num_turns for output in outputs] == [8, 8, 8]


@pytest.mark.parametrize("rooms", [{"room": 20}, {"prompt_room": 10, "room": 20}, {"window": 28}])
def test_an_episode_that_no_longer_fits_is_wrong_and_no_longer_than_verl_has_room(tokenizer, rooms):
    policy = always(tokenizer, "1")
    (output,) = sessions(tokenizer, Server(policy), tasks_of(1), **rooms)
    assert output.extra_fields[EPISODE]["verdict"]["failure"] == "truncated"
    assert not output.extra_fields[EPISODE]["verdict"]["correct"]
    assert output.extra_fields[EPISODE]["measured"]["overflowed_share"] == 1
    assert len(output.response_ids) <= 20
    assert len(output.prompt_ids + output.response_ids) <= rooms.get("window", rooms.get("prompt_room", 500) + 20)
    assert output.response_mask[-1], "nothing is shown that nobody answers"
    everything = sessions(tokenizer, Server(policy), tasks_of(1))[0]
    assert everything.extra_fields[EPISODE]["verdict"]["correct"]


@pytest.mark.parametrize(
    ("changes", "rooms", "failure"),
    [({"at": "reset", "does": "raises"}, {}, "crash"), ({}, {"window": 12}, "truncated")],
)
def test_an_episode_without_a_turn_is_wrong_and_holds_no_token_to_train_on(tokenizer, changes, rooms, failure):
    (output,) = sessions(tokenizer, Server(Scripted(tokenizer)), tasks_of(1, **changes), **rooms)
    assert (output.response_ids, output.response_mask) == ([tokenizer.eos_token_id], [0])
    assert output.response_logprobs == [0.0]
    assert output.extra_fields[EPISODE]["turn"] == [0]
    assert "segment" not in output.extra_fields[EPISODE], "no objective reads it, and it takes time"
    assert output.extra_fields[EPISODE]["verdict"]["failure"] == failure
    assert [output.extra_fields[f"{which}_global_steps"] for which in ("min", "max")] == [8, 8]


def test_an_episode_whose_server_fails_is_ended_and_harms_no_other(tokenizer):
    class Failing(Server):
        async def generate(self, **asked):
            if len(self.asked) == 3:
                self.asked.append(None)
                raise ConnectionError("the server is gone")
            return await super().generate(**asked)

    outputs = sessions(tokenizer, Failing(Scripted(tokenizer)), tasks_of(3))
    assert [type(output).__name__ for output in outputs].count("ConnectionError") == 1
    (worlds,) = agent_loop._worlds.values()
    assert [process.episodes for process in worlds._processes] == [0] * len(worlds._processes)


def test_an_environment_is_made_once_for_all_sessions_that_want_the_same(tokenizer):
    server = Server(Scripted(tokenizer))
    for how in (HOW, HOW, replace(HOW, seed=1), replace(HOW, max_steps=2), replace(HOW, options={"total": 1})):
        sessions(tokenizer, server, tasks_of(2), how)
    assert len(agent_loop._worlds) == 3


def test_without_log_probabilities_there_are_none(tokenizer):
    (output,) = sessions(tokenizer, Server(always(tokenizer, "1")), tasks_of(1))
    assert output.response_logprobs is None


def test_another_reward_manager_is_refused(tokenizer):
    with pytest.raises(UserError, match="reward.reward_manager.name=htpo"):
        sessions(tokenizer, Server(Scripted(tokenizer)), tasks_of(1), manager="dapo")
