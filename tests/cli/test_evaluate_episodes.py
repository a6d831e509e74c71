"""`htpo eval --tasks` with environments."""

import json
import re

import pytest

from htpo.cli.evaluate.command import evaluate_from_arguments
from htpo.errors import UserError
from tests.cli.command import htpo, sums, write_problems
from tests.evaluate.generators.servers import Server, chat_answer, running
from tests.evaluate.test_episodes import PATH, by_messages

TURN = ["--max_turn_length", "4"]


def results(directory):
    return json.loads((directory / "results.json").read_text())


def test_environments_and_ordinary_tasks_are_measured_in_one_command_and_compared(tmp_path):
    problems, run = write_problems(tmp_path / "sums.jsonl", sums(3)), tmp_path / "run"

    def answer(body):
        return chat_answer("\\boxed{4}") if "boxed" in body["messages"][0]["content"] else by_messages(body)

    with running(Server(answer)) as server:
        options = ["--base_url", server.url, "--samples", "2", "--verifier", "math", "--prompt_format", "verl_agent"]
        done = htpo("eval", "served", "--tasks", f"{problems},{PATH},{PATH}:train", *options, "--output_dir", run)
        other = htpo("eval", "served", "--tasks", PATH, *options[:4], "--max_turns", "3", "--output_dir", f"{run}3")
    assert done.returncode == 0, done.stderr
    assert other.returncode == 0, other.stderr
    found = results(run)["tasks"]
    assert list(found) == ["sums", f"{PATH}:test", f"{PATH}:train"]
    assert [found[task]["problems"] for task in found] == [3, 5, 5]
    assert found["sums"]["episodes"] is None
    assert found["sums"]["avg"]["value"] == pytest.approx(1 / 3)
    assert found[f"{PATH}:test"]["avg"]["value"] == 0.4
    assert re.search(r"^ +sums +0\.333 ", done.stdout, re.MULTILINE)
    assert re.search(
        r"^ tests\.evaluate\.worlds: +0\.400 +0\.533 +0\.400 +3\.6 +0\.8 +40% +0% *$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^ plain +1\.000 +1\.000 +1\.000 +3\.5 +0\.5", done.stdout, re.MULTILINE)
    assert "told as verl_agent, at most 512 tokens a turn; an episode is correct when it succeeds" in done.stdout
    assert f"Note: the environment failed episodes of {PATH}:test, which are no successes: crash 2" in done.stdout
    assert "at most 512 tokens a turn and 3 actions;" in other.stdout
    text = (run / "results.md").read_text()
    assert '"success" is avg@n' in text
    assert text.count("| late | 3 |") == 2
    compared = htpo("eval", "--compare", f"{run}3", run)
    assert compared.returncode == 0, compared.stderr
    assert re.search(r"Path:test +avg +0\.200 +0\.400 +\+0\.200", compared.stdout)
    assert re.search(r"Path:test +score +\S+ +0\.533 ", compared.stdout)


def test_household_is_played_by_a_small_model_and_goes_on_after_a_stop(word_model, tmp_path):
    run = tmp_path / "run"
    options = [
        *TURN,
        "--problems",
        "3",
        "--samples",
        "2",
        "--max_turns",
        "3",
        "--max_tokens",
        "256",
        "--batch_size",
        "2",
    ]
    config = '{"rooms": 1, "objects": 2}'
    done = htpo(
        "eval", word_model, "--tasks", "household:valid_seen", *options, "--dataset_config", config, "--output_dir", run
    )
    assert done.returncode == 0, done.stderr
    assert "3 problems x 2 samples = 6 episodes, at" in done.stdout
    assert "the model is shown at most 256 tokens of its turns" in done.stdout
    before = results(run)
    found = before["tasks"]["household:valid_seen"]
    cut_off = f"{found['episodes']['cut_off']['value']:.0%} of the turns in household:valid_seen were cut off"
    assert f"Note: {cut_off}" in done.stdout
    assert (found["problems"], found["samples"], found["episodes"]["steps"]["value"]) == (3, 2, 3)
    assert found["episodes"]["step_limit"]["value"] == 1
    for part in list((run / "samples" / "household_valid_seen").glob("*.parquet")):
        part.unlink()
    again = htpo("eval", "--resume", "--output_dir", run)
    assert again.returncode == 0, again.stderr
    assert results(run) == before
    other = htpo("eval", "--resume", "--output_dir", run, "--max_turns", "4")
    assert other.returncode == 2
    assert "max_turns" in other.stderr
    rescored = htpo("eval", "--rescore", run)
    assert rescored.returncode == 2
    assert "household:valid_seen say themselves how they ended" in rescored.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["household:valid"], "household.* has no split 'valid': give one of train, valid_seen, valid_unseen"),
        (["household", "--prompt_format", "verl_agent"], "needs a model with a chat template, and this has none"),
        (["household", "--prompt_format", "react"], "prompt_format is 'react', needs one of verl_agent, compact"),
        (["household", "--prompt_format", "verl_agent", "--chat", "false"], "which is chat messages: leave one out"),
        (["household", "--prompt_format", "compact", "--chat", "true"], "compact, which is text: leave one out"),
        (["household", "--chat", "true"], "--chat true: .* has no chat template"),
        (["household", "--max_turn_length", "64", "--max_tokens", "32"], "is above max_tokens .32., .* that are shown"),
        (["household", "--max_turns", "0"], "max_turns=0 must be at least 1"),
        (["household", "--history_length", "0"], "history_length=0 must be at least 1"),
        (["number_path", "--history_length", "2"], "--history_length has no effect"),
        (["household", "--verifier", "math"], "--verifier has no effect on household"),
        (["household", "--dataset_config", "[1]"], "needs the environment's options as JSON"),
        (["household", "--dataset_config", '{"room": 1}'], "was given the options room; it takes: rooms"),
        (["household,webshop", "--dataset_config", "{}"], "evaluate household alone"),
        (["household,household:valid_unseen"], "two tasks are called 'household:valid_unseen'"),
        (["number_path", "--max_turns", "3"], "--max_turns has no effect: it belongs to tasks that are environments"),
        (["number_path", "--prompt_format", "compact"], "--prompt_format has no effect"),
        (["alfworld:valid_seen", "--dataset_config", '{"data": "/nowhere"}'], "/nowhere"),
        (["nowhere.at_all:World"], "cannot be imported"),
        (["tests.environments.unruly:Delicate"], "'NoneType' object has no attribute 'strip'"),
        (["tests.environments.unruly:Taskless"], "Taskless has no tasks"),
    ],
)
def test_bad_input_is_refused_before_anything_is_played(tiny_model, tmp_path, arguments, said):
    tasks, *options = arguments
    given = {"--max_turn_length": "4"} | dict(zip(options[::2], options[1::2]))
    if tasks == "number_path":
        del given["--max_turn_length"]
    words = [word for pair in given.items() for word in pair]
    with pytest.raises(UserError, match=said):
        evaluate_from_arguments([tiny_model, "--tasks", tasks, *words, "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_text_for_a_server_of_chats_is_refused(tmp_path):
    with running(Server(by_messages)) as server:
        options = ["--base_url", server.url, "--prompt_format", "compact", "--output_dir", str(tmp_path / "run")]
        with pytest.raises(UserError, match="goes to /completions: add --chat false"):
            evaluate_from_arguments(["served", "--tasks", PATH, *options])
