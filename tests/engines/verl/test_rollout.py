"""The server of verl's rollout on the CPU gives answers back half done when training asks for its turn."""

import asyncio

import pytest
from transformers import AutoTokenizer

from htpo.engines.verl.cpu.rollout import Server

pytestmark = pytest.mark.verl

PROMPT = [5, 6, 7]
ASKED = {"max_tokens": 200, "ignore_eos": True}


@pytest.fixture
def server(tiny_model):
    return Server(tiny_model, AutoTokenizer.from_pretrained(tiny_model), 10, 200, seed=0)


def ask(server, prompt=PROMPT, **asked):
    return asyncio.create_task(server.generate(request_id="", prompt_ids=prompt, sampling_params=ASKED | asked))


def test_what_is_under_way_comes_back_half_done_and_what_waits_empty(server):
    async def turn():
        answer = ask(server)
        while not server.busy.locked():  # which it is while tokens are drawn
            await asyncio.sleep(0.001)
        waiting = ask(server, temperature=0.5)
        await asyncio.sleep(0)
        await server.abort_all_requests()
        return await answer, await waiting

    answer, waiting = asyncio.run(turn())
    assert answer.stop_reason == waiting.stop_reason == "aborted"
    assert 0 < len(answer.token_ids) == len(answer.log_probs) < 200
    assert waiting.token_ids == []


def test_what_is_asked_meanwhile_waits_for_the_turn_or_is_sent_away(server):
    async def turn():
        await server.abort_all_requests()
        parked = ask(server, max_tokens=2)
        await asyncio.sleep(0.2)
        assert not parked.done()
        await server.abort_all_requests(reject_request=True)
        rejected = await ask(server, max_tokens=2)
        await server.resume_generation()
        return await parked, rejected

    parked, rejected = asyncio.run(turn())
    assert (parked.stop_reason, len(parked.token_ids)) == ("completed", 2)
    assert (rejected.stop_reason, rejected.token_ids) == ("aborted", [])
