"""Demonstrations that policies for environments are fitted to, and the script that fits them."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.environments import EnvironmentWorkers, Observation

SCRIPTS = Path(__file__).parents[2] / "scripts"
GAMES = 24


@pytest.fixture(scope="module")
def worlds():
    with EnvironmentWorkers("household") as worlds:
        yield worlds


@pytest.fixture
def demonstrations(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from scripts.make_agent_policy import demonstrations

    return demonstrations


def test_without_slips_lapses_and_searches_they_are_the_walkthroughs(worlds, demonstrations):
    rows = worlds.rows("train", GAMES, 1)
    for row, told in zip(rows, demonstrations(worlds, rows, 0, 0, 0, random.Random(0)), strict=True):
        assert [turn.action for turn in told] == worlds.walkthrough(row)
        assert all(turn.learnt for turn in told)


def test_who_searches_looks_into_other_places_first_and_solves_the_task_all_the_same(worlds, demonstrations):
    rows = worlds.rows("train", GAMES, 1)
    looked = []
    for row, told in zip(rows, demonstrations(worlds, rows, 0, 0, 3, random.Random(0)), strict=True):
        actions = [turn.action for turn in told]
        looked.append(len(actions) - len(worlds.walkthrough(row)))
        (episode,) = worlds.reset([row], [0])
        for action in actions:
            worlds.step([episode], [action])
        assert (episode.success, episode.invalid_actions) == (True, 0)
        worlds.end([episode])
    assert min(looked) >= 0
    assert sum(looked) > GAMES


def test_leaving_a_place_where_the_thing_lies_is_not_learnt(worlds, demonstrations):
    """Of two apples a plan may want the other one; a policy that reads of one should take it."""
    rows = worlds.rows("train", 4 * GAMES, 2)
    left = 0
    for told in demonstrations(worlds, rows, 0, 0, 4, random.Random(1)):
        for number, turn in enumerate(told):
            takes = [later.action for later in told[number + 1 :] if later.action.startswith("take ")]
            if number and turn.action.startswith("go to ") and takes:
                kind = re.fullmatch(r"take (.+) \d+ from .+", takes[0])[1]
                if re.search(rf"\b{kind} \d", turn.shown) and not turn.learnt:
                    left += 1
    assert left > 0


def test_the_script_makes_a_model_that_writes_words_of_the_environment(tmp_path):
    flags = {
        "games": 8,
        "steps": 2,
        "batch": 4,
        "hidden": 16,
        "layers": 1,
        "searches": 1,
        "renamed": 0.5,
        "output": tmp_path / "policy",
    }
    given = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, SCRIPTS / "make_agent_policy.py", "household", *given]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("8 games, ")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "policy")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    read = tokenizer("you are in the kitchen .", return_tensors="pt")
    assert tokenizer.unk_token_id not in read["input_ids"]
    written = model.generate(**read, max_new_tokens=4, do_sample=False)
    assert written.shape[1] > read["input_ids"].shape[1]


def test_a_slip_is_a_way_elsewhere_or_what_is_not_possible_and_never_a_search(monkeypatch):
    """Who searches for another goal's thing leaves the page that the next action is on."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from scripts.make_agent_policy import slip

    page = Observation("results", ("click[next >]", "click[b01]"))
    others = ["search[red shoes]", "click[b01]", "click[xl]"]
    ahead = ["click[b01]", "click[blue]", "search[blue shoes]", "click[b01]", "click[later]"]
    assert {slip(page, ahead, others, random.Random(seed)) for seed in range(20)} == {"click[xl]"}
    assert slip(page, ahead, others[:2], random.Random(0)) == "click[b01]"
    too_soon = {slip(page, ahead, others, random.Random(seed), too_soon=True) for seed in range(20)}
    assert too_soon == {"click[xl]", "click[blue]"}
    room = Observation("room", ("go to sofa 1", "go to shelf 2", "look"))
    assert slip(room, ["go to sofa 1"], others, random.Random(0)) in room.actions[:2]
    ahead = ["go to sofa 1", "take pen 1 from sofa 1", "look"]
    too_soon = {slip(room, ahead, others[1:2], random.Random(seed), too_soon=True) for seed in range(40)}
    assert too_soon == {"go to sofa 1", "go to shelf 2", "take pen 1 from sofa 1", "click[b01]"}


def test_batches_of_alike_games_hold_neighbours_in_length(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from scripts.make_agent_policy import drawing

    games = [([0] * length, []) for length in random.Random(0).sample(range(100), 100)]
    draw = drawing(games, 8, alike=True, rng=random.Random(0))
    assert all(
        max(map(len, lengths)) - min(map(len, lengths)) == 7 for lengths in ([g[0] for g in draw()] for _ in range(9))
    )


@pytest.fixture
def renaming(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from scripts.make_agent_policy import Renaming

    return Renaming


def test_renamed_games_have_new_numbers_for_things_and_places_each_kind_its_own(renaming):
    apple, drawer, one, two, three, see = range(6)
    game = [see, apple, one, see, drawer, one, drawer, two, see, apple, one]
    labels = [-100] * 8 + game[8:]
    known = renaming([one, two, three], of_a_kind=True)
    drawn = set()
    for seed in range(60):
        ids, kept = known((game, labels), random.Random(seed))
        assert [each for each in ids if each not in (one, two, three)] == [see, apple, see, drawer, drawer, see, apple]
        assert ids[2] == ids[10]
        assert ids[5] != ids[7]
        assert kept == [-100] * 8 + ids[8:]
        drawn.add((ids[2], ids[5], ids[7]))
    assert len(drawn) == 18


def test_in_the_shop_the_words_of_few_games_are_renamed_into_each_other(renaming):
    games = [([0, 100 + number, 1, 100 + number], [-100, -100, 1, 100 + number]) for number in range(40)]
    known = renaming.of("webshop", games, tokenizer=None)
    assert set(known.names) == set(range(100, 140))
    ids, labels = known(games[3], random.Random(0))
    assert (ids[0], ids[2]) == (0, 1)
    assert ids[1] == ids[3] == labels[3] != 103
    assert ids[1] in known.names
