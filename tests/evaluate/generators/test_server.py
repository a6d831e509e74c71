"""Generation over HTTP, against a real local server that fails in every way we know."""

import threading
import time

import pytest

from htpo.errors import UserError
from htpo.evaluate.generators.server import ServerGenerator
from htpo.evaluate.generators.vocabulary import Request, SamplingOptions
from tests.evaluate.generators.servers import Misbehaviour, Server, chat_answer, interrupt_after_the_first, running

OPTIONS = SamplingOptions(max_tokens=16, seed=5)
REQUESTS = [Request(p, s, [{"role": "user", "content": f"{p}+{p}="}]) for p in (1, 2, 3) for s in (1, 2)]


def echo(body):
    return chat_answer(f"saw {body['messages'][0]['content']}")


def generator(server, **changes):
    return ServerGenerator("served", server.url, OPTIONS, **({"first_wait": 0.01, "retries": 3} | changes))


def answers(made, requests=REQUESTS, done=frozenset()):
    return [response for came in made.generate("sums", requests, done) for response in came]


def answers_until_it_raises(made, requests):
    found = []
    try:
        for came in made.generate("sums", requests, set()):
            found += came
    except (UserError, KeyboardInterrupt) as error:
        return found, error
    raise AssertionError("it did not raise")


def test_every_request_is_answered_once_with_the_options_and_a_seed_of_its_own():
    with running(Server(echo)) as server:
        made = generator(server, extra_body={"top_k": -1}, api_key="secret")
        made.check()
        found = answers(made)
    assert sorted((r.request.problem, r.request.sample) for r in found) == [(p, s) for p in (1, 2, 3) for s in (1, 2)]
    assert all(
        r.text == f"saw {r.request.problem}+{r.request.problem}=" and r.finished and r.tokens == 4 for r in found
    )
    assert all(path == "/v1/chat/completions" for path in server.paths)
    assert len({body["seed"] for body in server.bodies}) == 6
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}
    for body in server.bodies:
        assert (body["temperature"], body["top_p"], body["max_tokens"], body["top_k"]) == (1.0, 0.7, 16, -1)


def test_text_goes_to_completions_without_chat_and_becomes_a_message_with_it():
    requests = [Request(1, 1, "1+1=")]
    reply = {"choices": [{"text": "2", "finish_reason": "length"}]}
    with running(Server(lambda body: reply)) as server:
        found = answers(generator(server, chat=False), requests)[0]
    assert (found.text, found.finished, found.tokens, found.sent) == ("2", False, None, "1+1=")
    assert (server.paths, server.bodies[0]["prompt"]) == (["/v1/completions"], "1+1=")
    with running(Server(echo)) as server:
        assert answers(generator(server), requests)[0].text == "saw 1+1="


@pytest.mark.parametrize("content", [None, "", "7"])
@pytest.mark.parametrize(
    ("kept_apart", "expected"),
    [
        ({"reasoning_content": "let me see"}, "let me see"),
        ({"reasoning": "hm"}, "hm"),
        ({"reasoning_content": None, "reasoning": "hm"}, "hm"),
        ({"reasoning_content": " ", "reasoning": ["no", "text"]}, None),
        ({}, None),
    ],
)
def test_reasoning_that_a_server_keeps_apart_is_handed_on_and_is_no_text(content, kept_apart, expected):
    with running(Server(lambda body: chat_answer(content, reason="length", **kept_apart))) as server:
        found = answers(generator(server), REQUESTS[:1])[0]
    assert (found.text, found.reasoning, found.finished) == (content or "", expected, False)


def test_what_is_done_is_not_asked_again():
    with running(Server(echo)) as server:
        found = answers(generator(server), done={(1, 1), (1, 2), (2, 1), (3, 2)})
    assert sorted((r.request.problem, r.request.sample) for r in found) == [(2, 2), (3, 1)]
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "misbehave",
    [
        Misbehaviour.status(500),
        Misbehaviour.status(429, {"Retry-After": "0.05"}),
        Misbehaviour.status(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Misbehaviour.status(503, {"Retry-After": "never\x01"}),
        Misbehaviour.drop,
        Misbehaviour.cut_short,
        Misbehaviour.say(b"<html>loading</html>"),
        Misbehaviour.say(b"\xff\xfe"),
        Misbehaviour.say(b"[" * 100_000),
        Misbehaviour.say(b"null"),
        Misbehaviour.say({"error": "out of memory"}),
        Misbehaviour.say({"choices": []}),
        Misbehaviour.say(chat_answer(17)),
        Misbehaviour.say(chat_answer("x", reason="abort")),
        Misbehaviour.say(chat_answer("x", reason=None)),
        Misbehaviour.say(chat_answer("x", reason=["stop"])),
    ],
)
def test_a_request_that_fails_is_tried_again_and_nothing_is_lost(misbehave):
    with running(Server(echo, lambda number, body: misbehave if number % 3 == 0 else None)) as server:
        made = generator(server, concurrency=2, retries=8)
        found = answers(made)
    assert len(found) == 6
    assert all(r.text == f"saw {r.request.problem}+{r.request.problem}=" for r in found)
    assert made.failed == 0
    assert sum(made.tried_again.values()) == len(server.bodies) - 6 > 0


def test_a_reply_that_never_comes_is_a_time_out():
    def hang(handler):
        time.sleep(1.0)
        Misbehaviour.drop(handler)

    with running(Server(echo, lambda number, body: hang if number == 0 else None)) as server:
        made = generator(server, request_timeout=0.3)
        assert len(answers(made)) == 6
    assert made.tried_again == {"time-out": 1}


def test_the_server_decides_how_long_to_wait():
    asked = []

    def limit(number, body):
        asked.append(time.monotonic())
        return Misbehaviour.status(429, {"Retry-After": "0.5"}) if number == 0 else None

    with running(Server(echo, limit)) as server:
        answers(generator(server), REQUESTS[:1])
    assert asked[1] - asked[0] >= 0.5


def test_numbers_no_one_can_trust_are_not_taken_as_lengths():
    for tokens in (-1, 2**40, True, "many", 1.5):
        with running(Server(lambda body, tokens=tokens: chat_answer("x", tokens=tokens))) as server:
            assert answers(generator(server), REQUESTS[:1])[0].tokens is None


def test_one_prompt_that_always_fails_is_counted_and_the_others_are_answered():
    def fail(number, body):
        return Misbehaviour.status(500) if body["messages"][0]["content"] == "2+2=" else None

    with running(Server(echo, fail)) as server:
        made = generator(server, concurrency=3, retries=1)
        found = answers(made)
    assert {r.request.problem for r in found} == {1, 3}
    assert made.failed == 2


def test_a_server_that_goes_down_stops_the_work_after_what_was_answered():
    requests = [Request(p, 1, "1+1=") for p in range(1, 41)]
    with running(Server(echo, lambda number, body: None if number < 10 else Misbehaviour.drop)) as server:
        made = generator(server, concurrency=4, retries=2)
        found, error = answers_until_it_raises(made, requests)
    assert "did not answer 4 requests in a row, each tried 3 times" in str(error)
    assert len(found) == 10
    assert len(server.bodies) < 40


def test_a_status_that_will_not_pass_stops_at_once_without_the_key():
    refuse = Misbehaviour.status(401, text="key sk-very-secret is\n wrong")
    with (
        running(Server(echo, lambda number, body: refuse)) as server,
        pytest.raises(UserError, match=r"status 401: key \*\*\* is wrong \(problem"),
    ):
        answers(generator(server, api_key="sk-very-secret", concurrency=1))
    assert len(server.bodies) == 1


def test_a_server_that_is_not_there_is_said_before_anything_else():
    with running(Server(echo)) as server:
        pass
    with pytest.raises(UserError, match=r"no server answers at http://127\.0\.0\.1"):
        generator(server).check()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a/v1", "http://", "http://me:pass@a/v1", "http://a/v1?key=1"])
def test_addresses_that_are_none_or_hold_secrets_are_refused(url):
    with pytest.raises(UserError, match="base_url"):
        ServerGenerator("served", url, OPTIONS)


def test_interrupting_hands_on_what_was_answered(monkeypatch):
    """Ctrl-C raises in the main thread while it waits for the next response."""
    interrupt_after_the_first(monkeypatch)
    with running(Server(echo)) as server:
        found, error = answers_until_it_raises(generator(server, concurrency=1), REQUESTS)
    assert isinstance(error, KeyboardInterrupt)
    assert found
    assert not [thread for thread in threading.enumerate() if "_run_to_its_end" in thread.name]
