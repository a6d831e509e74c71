"""`htpo data export`: what it says, what it writes, what it refuses."""

import json

import pytest
from pyarrow import parquet

from htpo.engines.verl.episode_data import HowPlayed
from htpo.environments import EnvironmentWorkers
from htpo.playing.verdicts import EpisodeVerifier
from tests.cli.command import htpo, sums, write_problems


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_ends_with_the_options_of_verl_that_use_what_it_wrote(tmp_path):
    path = write_problems(tmp_path / "sums.jsonl", sums(30))
    options = ["--verifier", "math", "--answer_format", "answer_line", "--held_out_prompts", "2"]
    done = htpo("data", "export", path, "--output", "out", *options)
    assert done.returncode == 0, done.stderr
    assert "written: out/train.parquet (28 rows)" in done.stdout
    assert "written: out/test.parquet (2 rows)" in done.stdout
    assert f"data.train_files={tmp_path}/out/train.parquet" in done.stdout
    assert f"data.val_files={tmp_path}/out/test.parquet" in done.stdout
    assert "reward.reward_manager.name=htpo" in done.stdout
    rows = parquet.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert "Answer:" in rows[0]["prompt"][0]["content"]
    judged_by = {"verifier": "math", "answer_format": "answer_line"}
    assert all(json.loads(row["extra_info"]["judged_by"]) == judged_by for row in rows)
    again = htpo("data", "export", path, "--output", "out", *options)
    assert again.returncode == 2
    assert again.stderr == "htpo: out exists: give another --output, or --force to replace it\n"
    assert htpo("data", "export", path, "--output", "out", "--force", *options).returncode == 0


def test_without_held_out_problems_validation_is_switched_off(tmp_path):
    arguments = ["countdown", "--train_prompts", "3", "--held_out_prompts", "0", "--output", tmp_path / "out"]
    done = htpo("data", "export", *arguments)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["train.parquet"]
    assert "trainer.val_before_train=False trainer.test_freq=-1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "htpo data export needs a source"),
        (["countdown"], "htpo data export needs an --output"),
        (["countdown", "--output", "out", "--format", "trl"], "--format trl: there is verl"),
        (["bad.jsonl", "--output", "out", "--verifier", "math"], "bad.jsonl: line 2: the gold answer"),
        (["bad.jsonl", "--output", "out"], "bad.jsonl needs a verifier"),
        (["bad.jsonl", "--output", "bad.jsonl/out", "--verifier", "math", "--skip_bad_rows"], "cannot be written"),
        (["countdown", "--output", "out", "--max_turns", "3"], "max_turns=3 has no effect"),
        (
            ["household", "--output", "out", "--episode_reward", "luck"],
            "'luck', needs one of success, score",
        ),
        (["countdown", "--output", "out", "--verifier", "math"], "--verifier has no effect on countdown"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line_and_leaves_nothing(tmp_path, arguments, message):
    write_problems(tmp_path / "bad.jsonl", [*sums(1), {"problem": "1+1="}, {"problem": "2+2=", "answer": "4"}])
    done = htpo("data", "export", *arguments)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["bad.jsonl"]


def test_tasks_of_an_environment_say_how_they_are_played(tmp_path):
    options = ["--train_prompts", "20", "--held_out_prompts", "4", "--max_turn_length", "9", "--max_turns", "3"]
    options += ["--episode_reward", "score", "--dataset_config", '{"objects": 0}', "--seed", "5"]
    done = htpo("data", "export", "household", "--output", "out", *options)
    assert done.returncode == 0, done.stderr
    assert "a turn of the policy has up to 9 tokens" in done.stdout
    train, test = (parquet.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist() for name in ("train", "test"))
    assert (len(train), len(test)) == (22, 2)
    assert {row["agent_name"] for row in train + test} == {"htpo_episode"}
    (said,) = {row["extra_info"]["played_by"] for row in train + test}
    how = HowPlayed.from_json(said)
    assert how == HowPlayed("household", {"objects": 0}, 3, 5, "verl_agent", 9, EpisodeVerifier(by_score=True))
    assert how.to_json() == said
    with EnvironmentWorkers(how.environment, how.options, workers=1) as worlds:
        (episode,) = worlds.reset([json.loads(test[0]["extra_info"]["played_task"])], [how.seed])
    assert "your task is to" in episode.observation.text
