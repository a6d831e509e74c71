"""Episodes in worker processes: what an environment does wrong costs its own episode, and nothing else."""

import os
import pickle
import threading
import time

import pytest

from htpo.environments import EnvironmentLabel, EnvironmentWorkers, process
from htpo.errors import UserError

UNRULY = "tests.environments.unruly"


@pytest.fixture
def counting():
    made = []

    def start(name="Counting", **options):
        made.append(EnvironmentWorkers(f"{UNRULY}:{name}", **{"workers": 2, "memory_limit_mb": 2048, **options}))
        return made[-1]

    yield start
    for workers in made:
        workers.close()


def transcript(episodes):
    return [(episode.actions, episode.observation, episode.failure, episode.invalid_actions) for episode in episodes]


def played(workers, rows, actions=("1", "1", "1")):
    """Episodes of the rows, each with the same actions until it is over."""
    episodes = workers.reset(rows, range(len(rows)))
    for action in actions:
        ahead = [episode for episode in episodes if not episode.done]
        workers.step(ahead, [action] * len(ahead))
    return episodes


def test_an_episode_ends_with_its_success(counting):
    workers = counting()
    (episode,) = played(workers, workers.rows(count=1))
    assert (episode.success, episode.score, episode.actions) == (True, 1.0, ["1", "1", "1"])
    with pytest.raises(ValueError, match="is over, after 3 actions"):
        workers.step([episode], ["1"])


@pytest.mark.parametrize("action", [None, 3, b"1", ["1"], "", "three", "\ud800", "1" * 200_000])
def test_what_is_no_action_counts_as_invalid_and_changes_nothing(counting, action):
    workers = counting(workers=1)
    (episode,) = workers.reset(workers.rows(count=1), [0])
    workers.step([episode], [action])
    assert (episode.invalid_actions, episode.done, episode.failure) == (1, False, None)
    workers.step([episode], ["1"])
    assert (episode.observation.text, episode.invalid_actions) == ("1 of 3", 1)


def test_an_episode_ends_after_so_many_actions(counting):
    workers = counting()
    (episode,) = played(workers, workers.rows(count=1), ["none"] * 6)
    assert (episode.done, episode.truncated, episode.success, episode.invalid_actions) == (True, True, False, 6)
    (shorter,) = played(counting(max_steps=2), workers.rows(count=1), ["none"] * 2)
    assert shorter.truncated


@pytest.mark.parametrize(
    ("how", "failure"), [("raises", "crash"), ("hangs", "timeout"), ("dies", "crash"), ("eats", "crash")]
)
def test_a_failure_costs_its_own_episode_alone(counting, how, failure):
    workers = counting(workers=1, step_timeout=1.0, reset_timeout=1.0)
    rows = [{}, {}, {"at": 2, "does": how}, {"at": "reset", "does": how}, {}]
    episodes = played(workers, rows)
    assert [episode.failure for episode in episodes] == [None, None, failure, failure, None]
    assert [episode.success for episode in episodes] == [True, True, False, False, True]
    assert [episode.score for episode in episodes] == [1.0, 1.0, 0.0, 0.0, 1.0]
    assert workers.failures == {failure: 2}


def test_an_environment_that_only_waits_is_killed_too(counting):
    workers = counting(step_timeout=0.2)
    begun = time.monotonic()
    episodes = played(workers, [{"at": 1, "does": "sleeps"}, {}])
    assert [episode.failure for episode in episodes] == ["timeout", None]
    assert time.monotonic() - begun < 60


def test_episodes_are_the_same_whatever_the_number_of_processes(counting):
    rows = [{"at": number % 4, "does": ("raises", "dies")[number % 2]} for number in range(8)]
    alone, three = (played(counting(workers=count), rows, ["1", "no", "2"]) for count in (1, 3))
    assert transcript(alone) == transcript(three)
    assert {episode.failure for episode in alone} == {None, "crash"}


def test_an_episode_that_cannot_be_done_again_is_a_failure(counting):
    workers = counting("Forgetful", workers=1)
    kept, lost = workers.reset([{}, {"at": 1, "does": "dies"}], [0, 1])
    workers.step([lost, kept], ["1", "1"])
    assert (lost.failure, kept.failure) == ("crash", "crash")


def test_threads_step_their_own_episodes_at_the_same_time(counting):
    workers = counting()
    episodes = workers.reset(workers.rows(count=6), range(6))

    def play(episode):
        while not episode.done:
            workers.step([episode], ["1"])

    threads = [threading.Thread(target=play, args=(episode,)) for episode in episodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(episode.success for episode in episodes)


def test_closing_leaves_no_process_and_a_copy_starts_its_own(counting):
    workers = counting()
    played(workers, workers.rows(count=4))
    processes = [each._worker.process.pid for each in workers._processes]
    copy = pickle.loads(pickle.dumps(workers))
    workers.close()
    workers.close()
    for number in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
    assert [episode.success for episode in played(copy, [{}])] == [True]
    copy.close()


def test_episodes_given_up_make_room(counting):
    workers = counting(workers=1)
    episodes = workers.reset([{}, {}], [0, 1])
    assert workers._processes[0].episodes == 2
    workers.end(episodes)
    workers.end(episodes)
    assert workers._processes[0].episodes == 0


def test_what_an_episode_held_is_free_once_it_has_had_all_its_actions(counting):
    """The environment does not know of the limit; a run would hold a world more for each such episode."""
    workers = counting("Counted", workers=1)
    for _ in range(3):
        (episode,) = played(workers, [{}], ["1"] * 6)
        assert (episode.truncated, episode.observation.text) == (True, "1 made")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Forgetful", "do not lead to the same observations"),
        ("Delicate", "AttributeError: 'NoneType' object has no attribute 'strip'"),
        ("Wordless", "must return an Observation, not str"),
        ("Yes", "success is 'yes', and must be True or False"),
        ("Immeasurable", "score is nan, and must be finite"),
        ("Stepless", "has no method rows, reset, step, walkthrough"),
        ("Missing", "cannot be imported"),
    ],
)
def test_an_environment_that_breaks_its_word_is_refused_before_a_run(counting, name, message):
    with pytest.raises(UserError, match=message):
        counting(name).try_on({})


def test_an_environment_that_keeps_its_word_is_taken(counting):
    workers = counting(options={"total": 5})
    workers.try_on(workers.rows("test")[0])
    assert workers.walkthrough({}) == ["1"] * 5


def test_what_a_user_got_wrong_is_said_in_a_line(counting):
    with pytest.raises(UserError, match=r"there is no environment 'houshold': give one of household"):
        EnvironmentWorkers("houshold")
    with pytest.raises(UserError, match="was given the options sum; it takes: total"):
        counting(options={"sum": 3}).rows()
    with pytest.raises(UserError, match=r"no split 'valid': give one of train, test"):
        counting().rows("valid")
    with pytest.raises(UserError, match="are no JSON"):
        counting(options={"total": object()})
    with pytest.raises(UserError, match="max_steps is 0"):
        counting(max_steps=0)


def test_processes_that_do_not_start_are_the_end_of_a_run(counting, monkeypatch):
    monkeypatch.setattr(process, "PROGRAM", "tests.environments.nowhere")
    with pytest.raises(UserError, match=r"tests.environments.nowhere does not start"):
        counting().reset([{}], [0])


@pytest.mark.parametrize(
    ("label", "name", "split"),
    [
        ("household", "household", None),
        ("household:valid_seen", "household", "valid_seen"),
        ("my.worlds:Maze", "my.worlds:Maze", None),
        ("my.worlds:Maze:test", "my.worlds:Maze", "test"),
    ],
)
def test_a_label_names_an_environment_and_a_split(label, name, split):
    parsed = EnvironmentLabel.parse(label)
    assert (parsed.name, parsed.split) == (name, split)
