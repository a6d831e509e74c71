"""Responses that come in one by one are judged in batches, and nothing waits but them."""

import asyncio
import threading
import time

import pytest

from htpo.engines.verl.judging_queue import JudgingQueue
from htpo.verifiers import Verdict


def test_what_comes_in_while_others_are_judged_is_judged_together_and_in_order():
    batches = []

    def judge(responses, rows):
        batches.append(list(responses))
        time.sleep(0.05)
        return [Verdict(row["right"] == response, response) for response, row in zip(responses, rows)]

    async def run():
        queue = JudgingQueue(judge)
        first = asyncio.create_task(queue("0", {"right": "0"}))
        await asyncio.sleep(0.02)
        others = [queue(str(n), {"right": str(n % 2)}) for n in range(1, 5)]
        return await asyncio.gather(first, *others)

    verdicts = asyncio.run(run())
    assert [verdict.extracted for verdict in verdicts] == ["0", "1", "2", "3", "4"]
    assert [verdict.correct for verdict in verdicts] == [True, True, False, False, False]
    assert batches == [["0"], ["1", "2", "3", "4"]]


def test_the_event_loop_goes_on_while_a_verifier_works():
    judging = threading.Event()

    def judge(responses, rows):
        assert judging.wait(10), "the loop stood still"
        return [Verdict(True)] * len(responses)

    async def run():
        verdict = asyncio.create_task(JudgingQueue(judge)("a", {}))
        await asyncio.sleep(0.01)
        judging.set()
        return await verdict

    assert asyncio.run(run()).correct


def test_an_error_is_that_of_its_batch_alone():
    def judge(responses, rows):
        if "bad" in responses:
            raise ValueError("bad row")
        return [Verdict(True)] * len(responses)

    async def run():
        queue = JudgingQueue(judge)
        outcomes = await asyncio.gather(queue("bad", {}), queue("beside it", {}), return_exceptions=True)
        return [*map(type, outcomes), (await queue("later", {})).correct]

    assert asyncio.run(run()) == [ValueError, ValueError, True]


def test_one_that_is_no_longer_awaited_does_not_stop_the_others():
    async def run():
        queue = JudgingQueue(lambda responses, rows: [Verdict(True)] * len(responses))
        gone, other = asyncio.create_task(queue("a", {})), asyncio.create_task(queue("b", {}))
        await asyncio.sleep(0)
        gone.cancel()
        return (await other).correct, (await queue("c", {})).correct

    assert asyncio.run(run()) == (True, True)


@pytest.mark.parametrize("rounds", [1, 2])
def test_it_serves_one_event_loop_after_another(rounds):
    queue = JudgingQueue(lambda responses, rows: [Verdict(True)] * len(responses))

    async def run():
        return (await queue("a", {})).correct

    assert [asyncio.run(run()) for _ in range(rounds)] == [True] * rounds
