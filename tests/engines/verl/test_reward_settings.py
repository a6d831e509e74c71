"""Options of rewards and data that do not go together with our verifiers are refused before anything is loaded."""

import pandas as pd
import pytest

from htpo.engines.environment_task import load_environment_task
from htpo.engines.episode_options import TaskOptions
from htpo.engines.verl.episode_data import HowPlayed, export_episodes
from htpo.engines.verl.reward_settings import check_reward
from htpo.errors import UserError
from htpo.tasks import DataOptions, load_task
from htpo.tasks.verl_layout import TRAIN, export_task
from tests.tasks.data import sums, write_rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Files of verl's layout: exported ones, and ones of others."""
    folder = tmp_path_factory.mktemp("data")
    options = DataOptions([write_rows(folder / "sums.jsonl", sums(4))], verifier="math", held_out_prompts=0)
    export_task(load_task(options), options, folder / "out")
    prompt = [{"role": "user", "content": "1+1="}]
    for name, reward_model in {"theirs": {"ground_truth": "2"}, "empty": {"ground_truth": ""}}.items():
        rows = [{"data_source": name, "prompt": prompt, "reward_model": reward_model}]
        pd.DataFrame(rows).to_parquet(folder / f"{name}.parquet")
    episodes = TaskOptions(["household"], train_prompts=2, held_out_prompts=0, max_turn_length=8)
    task = load_environment_task(episodes, 0)
    with task.worlds:
        export_episodes(task, HowPlayed.of(episodes, 0, "compact"), folder / "played")
    return {"ours": str(folder / "out" / TRAIN), "played": str(folder / "played" / TRAIN)} | {
        name: str(folder / f"{name}.parquet") for name in ("theirs", "empty")
    }


def configured(files, htpo=None, **reward):
    manager = {"source": "register", "name": "htpo"}
    return {
        "data": {"train_files": files, "val_files": None, "max_response_length": 10},
        "reward": {"reward_manager": manager, "reward_model": {"enable": False}, **reward},
        "htpo": htpo,
    }


def test_exported_data_needs_nothing_more_and_other_data_a_verifier(data):
    check_reward(configured(data["ours"]))
    check_reward(configured([data["ours"], data["theirs"]], {"verifier": "math"}))
    check_reward(configured(data["played"]))
    check_reward(configured("hdfs://far/away.parquet"))
    check_reward({**configured(data["theirs"]), "reward": {"reward_manager": {"source": "register", "name": "dapo"}}})


@pytest.mark.parametrize(
    ("files", "htpo", "reward", "message"),
    [
        ("theirs", {}, {}, "theirs.parquet: the data does not say how answers are judged"),
        ("empty", {"verifier": "math"}, {}, "empty.parquet: a row of the data cannot be judged: the gold answer"),
        ("ours", {"verifier": "math"}, {}, "has no effect: all rows of the data say how they are judged"),
        ("ours", {}, {"custom_reward_function": {"path": "a.py"}}, "custom_reward_function.path has no effect"),
        ("ours", {}, {"reward_model": {"enable": True}}, "reward_model.enable=True takes the place"),
        ("played", {"verifier": "math"}, {}, "has no effect: all rows of the data say"),
        ("played", {}, {"reward_manager": {"name": "dapo"}}, "tasks of household, whose episodes are judged by reward"),
        ("theirs", {"verifier": "math"}, {"reward_manager": {"name": "dapo"}}, "no effect without reward.reward_man"),
    ],
)
def test_what_does_not_go_together_is_refused(data, files, htpo, reward, message):
    with pytest.raises(UserError, match=message):
        check_reward(configured(data[files], htpo, **reward))


def test_a_turn_longer_than_an_episode_is_refused(data):
    config = configured(data["played"])
    config["data"]["max_response_length"] = 7
    with pytest.raises(UserError, match="max_response_length=7, that of a whole episode, has no room for a turn of 8"):
        check_reward(config)
