"""The household: every game can be won, none by chance of its drawing, and its splits share nothing."""

import random

import pytest

from htpo.environments import EnvironmentWorkers
from htpo.environments.household.environment import SPACED, Household, vocabulary
from htpo.environments.household.game import TASK_TYPES, Game, Goal
from htpo.environments.household.state import State
from htpo.errors import UserError

HOUSES = [{}, {"rooms": 3}, {"rooms": 4, "receptacles": 8, "objects": 12}, {"receptacles": 3, "objects": 0}]


@pytest.mark.parametrize("options", HOUSES, ids=str)
@pytest.mark.parametrize("split", Household.splits)
def test_every_game_is_won_by_one_who_looks_and_by_one_who_knows(options, split):
    household, words = Household(**options), set(vocabulary())
    for row in household.rows(split, 100):
        walkthrough, shortest = household.walkthrough(row), household.shortest(row)
        assert len(shortest) <= len(walkthrough) <= household.max_steps
        for actions in (walkthrough, shortest):
            seen = household.reset(row, 0)
            assert row["task"] in seen.text
            for action in actions:
                assert action in seen.actions
                assert not seen.done
                seen = household.step(action)
                assert set(" ".join([seen.text, *seen.actions]).translate(SPACED).split()) <= words
            assert (seen.success, seen.done, seen.score) == (True, True, 1.0)


def test_no_split_shares_a_game_and_unseen_goals_are_in_no_other():
    household = Household()
    counts = {"train": 2000, "valid_seen": 200, "valid_unseen": 200}
    games = {split: household.rows(split, count) for split, count in counts.items()}
    seeds = [row["game_seed"] for rows in games.values() for row in rows]
    tasks = {split: {row["task"] for row in rows} for split, rows in games.items()}
    assert len(set(seeds)) == len(seeds)
    assert not tasks["valid_unseen"] & (tasks["train"] | tasks["valid_seen"])
    assert len(tasks["valid_seen"] & tasks["train"]) > len(tasks["valid_seen"]) / 2


def test_rows_follow_from_their_seed_and_differ():
    household = Household()
    assert household.rows("train", 50, 1) == household.rows("train", 50, 1) != household.rows("train", 50, 2)
    assert len({str(row) for row in household.rows("train", 300, 1)}) == 300
    assert {row["task_type"] for row in household.rows("train", 100)} == set(TASK_TYPES)


def test_types_of_tasks_are_equally_common_and_can_be_chosen():
    rows = Household().rows("train", 1200)
    counts = [sum(row["task_type"] == each for row in rows) for each in TASK_TYPES]
    assert min(counts) > 120
    chosen = Household(task_types=["pick_heat_then_place_in_recep"]).rows("train", 20)
    assert {row["task_type"] for row in chosen} == {"pick_heat_then_place_in_recep"}


KITCHEN = {"kitchen": ("cabinet 1", "countertop 1", "fridge 1", "microwave 1", "sinkbasin 1")}
BEDROOM = {"bedroom": ("bed 1", "desk 1", "desk 2")}


def after(goal, actions, rooms=KITCHEN, lies=None):
    """Whether each action was possible, and whether the task is done then."""
    game = Game(rooms, lies or {"apple 1": "countertop 1", "apple 2": "fridge 1"}, next(iter(rooms)), Goal(*goal))
    state = State(game)
    return [state.act(action) is not None for action in actions], state.is_won()


HEAT = ("pick_heat_then_place_in_recep", "apple", "cabinet")
TAKE = ["go to countertop 1", "take apple 1 from countertop 1"]
PUT = ["go to cabinet 1", "open cabinet 1", "move apple 1 to cabinet 1"]
HOT = ["go to microwave 1", "heat apple 1 with microwave 1"]
COOL = ["go to fridge 1", "cool apple 1 with fridge 1"]


def test_a_thing_must_be_in_the_state_that_is_asked_for():
    assert after(HEAT, TAKE + HOT + PUT) == ([True] * 7, True)
    assert after(HEAT, TAKE + PUT)[1] is False
    assert after(HEAT, TAKE + HOT + COOL + PUT) == ([True] * 9, False)  # cold again
    assert after(HEAT, TAKE + COOL + HOT + PUT)[1] is True


def test_two_things_must_be_two_and_in_one_place():
    two = ("pick_two_obj_and_place", "apple", "cabinet")
    second = ["go to fridge 1", "open fridge 1", "take apple 2 from fridge 1", "go to cabinet 1"]
    assert after(two, TAKE + PUT)[1] is False
    assert after(two, TAKE + PUT + [*second, "move apple 2 to cabinet 1"])[1] is True
    rooms = {"kitchen": ("cabinet 1", "cabinet 2", "countertop 1", "fridge 1")}
    apart = [*second[:3], "go to cabinet 2", "open cabinet 2", "move apple 2 to cabinet 2"]
    assert after(two, TAKE + PUT + apart, rooms) == ([True] * 11, False)


def test_light_must_be_on_where_the_thing_is_held():
    look = ("look_at_obj_in_light", "book", "desklamp")
    lies = {"book 1": "bed 1", "desklamp 1": "desk 1"}
    take, light = ["go to bed 1", "take book 1 from bed 1"], ["go to desk 1", "use desklamp 1"]
    assert after(look, take + light, BEDROOM, lies)[1] is True
    assert after(look, light, BEDROOM, lies)[1] is False
    assert after(look, light + take, BEDROOM, lies)[1] is False  # far from the lamp
    assert after(look, light + take + ["go to desk 2"], BEDROOM, lies)[1] is False
    assert after(look, light + take + ["go to desk 1"], BEDROOM, lies)[1] is True


@pytest.mark.parametrize(
    "action",
    [
        "take apple 2 from fridge 1",  # it is not there
        "open countertop 1",
        "move apple 1 to countertop 1",  # nothing in hand
        "heat apple 1 with microwave 1",
        "go to countertop 1",  # already
        "take apple 3 from countertop 1",
        "go to bedroom",
        "dance",
        "",
        "go",
        None,
        ["look"],
    ],
)
def test_what_is_not_possible_changes_nothing(action):
    household = Household()
    row = household.rows("train", 1)[0]
    household.reset(row, 0)
    household._state = State(Game(KITCHEN, {"apple 1": "countertop 1"}, "kitchen", Goal(*HEAT)))
    before = household.step("go to countertop 1")
    seen = household.step(action)
    assert (seen.text, seen.invalid, seen.done) == ("nothing happens.", True, False)
    assert seen.actions == before.actions


def test_what_is_closed_hides_what_is_in_it_and_takes_nothing():
    closed = ["go to fridge 1", "take apple 2 from fridge 1"]
    assert after(HEAT, closed)[0] == [True, False]
    assert after(HEAT, [*TAKE, "go to cabinet 1", "move apple 1 to cabinet 1"])[0][-1] is False
    assert (
        after(HEAT, ["go to fridge 1", "open fridge 1", "close fridge 1", "take apple 2 from fridge 1"])[0][-1] is False
    )


def test_an_action_may_have_capitals_and_space_around_it():
    household = Household()
    row = household.rows("train", 1)[0]
    first = household.reset(row, 0).actions[0]
    assert household.step(f"  {first.upper()}\n").invalid is False


@pytest.mark.parametrize(
    "options", [{"rooms": 0}, {"rooms": 5}, {"receptacles": 2}, {"objects": 13}, {"task_types": ["dance"]}], ids=str
)
def test_a_house_that_cannot_be_is_refused(options):
    with pytest.raises(UserError, match=next(iter(options)).replace("_", ".")):
        Household(**options)


def test_a_split_that_runs_out_of_games_says_so():
    with pytest.raises(UserError, match="hardly more games"):
        Household(receptacles=3, objects=0, task_types=["pick_heat_then_place_in_recep"]).rows("valid_unseen", 5000)


def test_random_play_in_workers_is_the_same_for_any_number_of_them():
    def play(count):
        with EnvironmentWorkers("household", workers=count) as workers:
            workers.try_on(workers.rows(count=1)[0])
            rng = random.Random(0)
            episodes = workers.reset(workers.rows("valid_seen", 6), range(6))
            while ahead := [episode for episode in episodes if not episode.done]:
                workers.step(ahead, [rng.choice(episode.observation.actions) for episode in ahead])
            return [(episode.actions, episode.observation, episode.truncated) for episode in episodes]

    assert play(1) == play(2)
