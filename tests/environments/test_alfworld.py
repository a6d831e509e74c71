"""ALFWorld: the real games, played as `textworld` plays them, and what is wrong with a file said in a line."""

import importlib.util
import json
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from htpo.engines.job import BUILT_IN_POLICIES
from htpo.environments import EnvironmentWorkers
from htpo.environments.alfworld.games import Games
from htpo.errors import UserError
from htpo.evaluate import load_tokenizer
from tests.cli.command import htpo

TYPES = {"pick_and_place_simple", "pick_two_obj_and_place", "look_at_obj_in_light"} | {
    f"pick_{handling}_then_place_in_recep" for handling in ("clean", "heat", "cool")
}
RANDOM = 20  # actions
ALIKE = 2  # games that are played by `textworld` alone, too, which takes it seconds each


def written(folder: Path, **changed) -> Path:
    """A folder with one file that looks like a game."""
    held = {"pddl_domain": "d", "grammar": "g", "pddl_problem": "p", "walkthrough": ["look"], **changed}
    path = folder / "valid_seen" / "pick_and_place_simple-Mug-None-Shelf-1" / "trial_1" / "game.tw-pddl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({key: value for key, value in held.items() if value is not None}))
    return folder


def test_games_are_found_in_the_folder_or_in_that_of_the_download(tmp_path, monkeypatch):
    folder = written(tmp_path / "json_2.1.1")
    assert Games.find(str(folder)) == Games.find(str(tmp_path))
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    (row,) = Games.find(None).rows("valid_seen", None, 0)
    assert (row["task_type"], row["id"].split("/")[0]) == ("pick_and_place_simple", "valid_seen")
    assert Games.find(None).read(row["game"])["walkthrough"] == ["look"]


def test_missing_and_damaged_games_are_said_in_a_line(tmp_path):
    with pytest.raises(UserError, match=r"no ALFWorld games in .*fetch them with `alfworld-download`.*ALFWORLD_DATA"):
        Games.find(str(tmp_path))
    games = Games(written(tmp_path, grammar=None))
    (row,) = games.rows("valid_seen", None, 0)
    with pytest.raises(UserError, match=r"the game is damaged \(it needs the texts pddl_domain, grammar"):
        games.read(row["game"])
    (games.folder / row["game"]).write_text('{"grammar": ')
    with pytest.raises(UserError, match="the game is damaged .*fetch it again"):
        games.read(row["game"])
    with pytest.raises(UserError, match="cannot be read"):
        games.read("valid_seen/none/trial_1/game.tw-pddl")
    with pytest.raises(UserError, match="has 1 games, and 2 are asked for"):
        games.rows("valid_seen", 2, 0)
    with pytest.raises(UserError, match="has 0 games"):
        games.rows("train", None, 0)


@pytest.mark.skipif(importlib.util.find_spec("textworld") is not None, reason="alfworld is installed")
def test_without_the_extra_it_is_refused_with_the_remedy(tmp_path):
    with EnvironmentWorkers("alfworld", {"data": str(written(tmp_path))}, workers=1) as worlds:  # noqa: SIM117
        with pytest.raises(UserError, match=r'alfworld is not installed.*pip install "htpo\[alfworld\]"'):
            worlds.rows("valid_seen")


@pytest.fixture(scope="module")
def games(tmp_path_factory, shared_data) -> tuple[Path, list[str]]:
    """A folder with a real game of each type, and their paths in it."""
    pytest.importorskip("textworld")
    folder = tmp_path_factory.mktemp("alfworld")
    first = json.loads((shared_data / "agents" / "alfworld_first_set.json").read_text())
    chosen = {game["task_type"]: game["path"] for game in first if game["split"] == "valid_seen"}
    wanted = {f"json_2.1.1/{path}" for path in chosen.values()}
    with tarfile.open(shared_data / "agents" / "alfworld_games.tar.xz") as archive:
        for member in archive:
            if member.name.removeprefix("./") in wanted:
                archive.extract(member, folder, filter="data")
    return folder, sorted(chosen.values())


@pytest.fixture
def worlds(games, tmp_path, monkeypatch):
    monkeypatch.setenv("HTPO_CACHE", str(tmp_path / "cache"))
    with EnvironmentWorkers("alfworld", {"data": str(games[0])}, workers=2) as made:
        yield made


def test_a_game_of_each_type_is_won_by_its_walkthrough(worlds, games):
    rows = worlds.rows("valid_seen")
    assert {row["task_type"] for row in rows} == TYPES
    worlds.try_on(rows[0])
    episodes = worlds.reset(rows, range(len(rows)))
    assert all("Your task is to:" in episode.observation.text for episode in episodes)
    walkthroughs = [iter(worlds.walkthrough(row)) for row in rows]
    while ahead := [number for number, episode in enumerate(episodes) if not episode.done]:
        actions = [next(walkthroughs[number]) for number in ahead]
        assert all(action in episodes[number].observation.actions for number, action in zip(ahead, actions))
        worlds.step([episodes[number] for number in ahead], actions)
    assert all(episode.success and episode.score == 1 for episode in episodes)
    assert not worlds.failures


ALONE = """
import json, random, sys
import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
for path in sys.argv[1:]:
    infos = textworld.EnvInfos(won=True, admissible_commands=True)
    world = textworld.start(path, infos, wrappers=[AlfredDemangler])
    state = world.reset()
    print(json.dumps([state.feedback.split("\\n\\n", 1)[1].strip(), state.admissible_commands]))
    for action in ["look", "inventory", *json.load(open(path))["walkthrough"]]:
        state, _, _ = world.step(action)
        print(json.dumps([state.feedback, state.admissible_commands]))
    state = world.reset()
    rng = random.Random(0)
    for _ in range(RANDOM):
        state, _, done = world.step(rng.choice(state.admissible_commands))
        print(json.dumps([state.feedback, state.admissible_commands]))
        if done:
            break
""".replace("RANDOM", str(RANDOM))


def test_what_is_remembered_changes_no_word(worlds, games):
    paths = games[1][:ALIKE]
    command = [sys.executable, "-c", ALONE, *(str(games[0] / "json_2.1.1" / path) for path in paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    alone = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    for _ in range(2):  # translated, and read back from disk
        ours = []
        for path in paths:
            row = {"game": path}
            (episode,) = worlds.reset([row], [0])
            ours.append([episode.observation.text, list(episode.observation.actions)])
            for action in ["look", "inventory", *worlds.walkthrough(row)]:
                worlds.step([episode], [action])
                ours.append([episode.observation.text, list(episode.observation.actions)])
            (episode,) = worlds.reset([row], [0])
            rng = random.Random(0)
            for _ in range(RANDOM):
                if episode.done:
                    break
                worlds.step([episode], [rng.choice(episode.observation.actions)])
                ours.append([episode.observation.text, list(episode.observation.actions)])
        assert ours == alone
        worlds.close()


def test_an_action_that_is_not_admissible_is_invalid_and_does_nothing(worlds, games):
    (episode,) = worlds.reset([{"game": games[1][0]}], [0])
    before = episode.observation.actions
    for action in ("dance", "take fridge 1 from floor 1", "help me", None):
        worlds.step([episode], [action])
        assert (episode.observation.text, episode.observation.actions) == ("Nothing happens.", before)
    assert episode.invalid_actions == 4
    worlds.step([episode], [f" {before[0].upper()} "])
    assert not episode.observation.invalid


def test_a_damaged_game_fails_its_own_episode(worlds, games, tmp_path):
    broken = games[0] / "json_2.1.1" / "valid_seen" / "broken" / "trial_1" / "game.tw-pddl"
    broken.parent.mkdir(parents=True, exist_ok=True)
    whole = json.loads((games[0] / "json_2.1.1" / games[1][0]).read_text())
    broken.write_text(json.dumps({**whole, "pddl_problem": whole["pddl_problem"][: len(whole["pddl_problem"]) // 2]}))
    rows = [{"game": "valid_seen/broken/trial_1/game.tw-pddl"}, {"game": "none"}, {"game": games[1][0]}]
    episodes = worlds.reset(rows, [0, 0, 0])
    assert [episode.failure for episode in episodes] == ["crash", "crash", None]
    broken.unlink()
    broken.parent.rmdir()
    broken.parent.parent.rmdir()


def test_a_translation_is_kept_and_a_damaged_one_is_done_again(worlds, games):
    row = {"game": games[1][0]}
    (first,) = worlds.reset([row], [0])
    (kept,) = Path(os.environ["HTPO_CACHE"]).rglob("*.sas.gz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    worlds.close()
    (second,) = worlds.reset([row], [0])
    assert second.observation == first.observation
    assert kept.read_bytes() == whole


def test_the_policy_that_ships_knows_what_it_is_shown_and_wins_some_games(worlds, games, tmp_path):
    ships = BUILT_IN_POLICIES["alfworld"]
    assert (ships / "model.safetensors").stat().st_size < 4e6
    tokenizer = load_tokenizer(ships)
    episodes = worlds.reset(worlds.rows("valid_seen"), range(len(TYPES)))
    for episode in episodes:
        assert tokenizer.unk_token_id not in tokenizer(episode.observation.text)["input_ids"]
    run = tmp_path / "run"
    options = ["--samples", "4", "--top_p", "1", "--max_turn_length", "12", "--max_tokens", "1536", "--output_dir", run]
    data = ["--dataset_config", json.dumps({"data": str(games[0])})]
    done = htpo("eval", ships, "--tasks", "alfworld:valid_seen", *options, *data)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads((run / "results.json").read_text())["tasks"].values()
    assert found["problems"] == len(TYPES)
    assert found["avg"]["value"] > 0
