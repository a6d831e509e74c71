"""The page of an evaluation: measures, and samples that are answers or episodes."""

import json
import re

import pytest

from htpo.analysis.subject import find_subject
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, SamplingOptions, collect
from htpo.evaluate.generators.server import ServerGenerator
from htpo.report import default_path, write_report
from htpo.report.evaluated import LONGEST_TEXT
from htpo.report.rollouts import TOKENS_SHOWN
from tests.analysis.finished_evaluation import write_evaluation
from tests.evaluate.generators.servers import Server, chat_answer, running
from tests.evaluate.test_episodes import by_messages, environment
from tests.evaluate.worlds import FOUND, TURNS, TYPES
from tests.report.runs import HOSTILE


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Two episodes of every path."""
    evaluation, task = EvaluationDirectory(tmp_path_factory.mktemp("played") / "paths"), environment()
    evaluation.begin({"model": "served", "samples": 2, "backend": "server", "chat": None}, [task])
    with running(Server(by_messages)) as server:
        generator = ServerGenerator("served", server.url, SamplingOptions(max_tokens=200))
        collect(task, generator, evaluation.store(task.name), 2)
    evaluation.write_results(evaluation.samples(), {})
    return evaluation


def page_and_rollouts(evaluation, path):
    page = write_report(find_subject([evaluation.path]), path).read_text()
    return page, json.loads(re.search(r'id="rollouts-data">(.*?)</script>', page, re.DOTALL)[1])


def test_episodes_are_there_turn_by_turn_with_how_they_went(played, tmp_path):
    page, data = page_and_rollouts(played, tmp_path / "out.html")
    assert "Evaluation paths" in page
    assert "<td>0.400 (" in page
    assert "What was run" not in page, "nothing was trained"
    assert data["episodes"]
    assert len(data["rollouts"]) == data["kept"] == 10
    for one in data["rollouts"]:
        number = one["number"][0]
        success, score, steps, invalid, _, failure = FOUND[number]
        assert one["correct"] == success
        turns = len(TURNS[number])
        outcome = f"{TYPES[number]}: {'success' if success else 'no success'}, score {score:.2f}, turns {turns}"
        assert one["judged"][0] == ["episode", f"{outcome}, invalid actions {invalid}"]
        assert (["failure", "crash: the environment failed"] in one["judged"]) == (failure == "crash")
        assert len(one["turns"]) == len(one["written"]) == turns
        assert [turn["action"] for turn in one["turns"][:steps]] == TURNS[number][:steps]
        assert (one["turns"][-1]["shown"] is None) == (failure is not None), "what the environment said at the end"
        assert one["accuracy"] == float(success)


def test_an_episode_says_which_turns_were_cut_off_and_from_which_on_the_oldest_were_not_shown(tmp_path):
    evaluation, task = EvaluationDirectory(tmp_path / "paths"), environment(history_length=2)
    evaluation.begin({"model": "served", "samples": 2, "backend": "server", "chat": None}, [task])

    def answer(body):
        return chat_answer("<action>wait</action>", "length" if len(body["messages"]) == 3 else "stop")

    with running(Server(answer)) as server:
        generator = ServerGenerator("served", server.url, SamplingOptions(max_tokens=200))
        collect(task, generator, evaluation.store(task.name), 2)
    _, data = page_and_rollouts(evaluation, tmp_path / "out.html")
    for one in data["rollouts"]:
        assert one["judged"][0][1].endswith(
            "turns 5, invalid actions 0, turns cut off 1; from turn 4 on the oldest were no longer shown"
        )


def test_answers_are_shown_with_what_was_judged_and_only_so_many(tmp_path):
    evaluation = write_evaluation(tmp_path / "sums", {"sums": 40, "aime": 2}, samples=4)
    store = evaluation.store("sums")
    rows = [row for rows in store.rows() for row in rows]
    for row in rows:
        row["response"] = HOSTILE + "x" * TOKENS_SHOWN
    for file in store.folder.glob("*.parquet"):
        file.unlink()
    store.append(rows)
    page, data = page_and_rollouts(evaluation, tmp_path / "out.html")
    assert not data["episodes"]
    assert data["kept"] == 168
    of_sums = [one for one in data["rollouts"] if one["run"] == "sums"]
    assert len(data["rollouts"]) - len(of_sums) == 8, "of both tasks and verdicts by turns"
    assert len(of_sums) == 160
    assert all(len(one["written"][0]) < LONGEST_TEXT + 100 for one in of_sums)
    assert ["answer found", "1"] in of_sums[-1]["judged"] or ["answer found", "0"] in of_sums[-1]["judged"]
    assert HOSTILE not in page


def test_an_evaluation_that_is_not_finished_has_no_page(tmp_path):
    evaluation = write_evaluation(tmp_path / "begun", {"sums": 3})
    next(evaluation.store("sums").folder.iterdir()).unlink()
    with pytest.raises(UserError, match="begun is not finished"):
        write_report(find_subject([evaluation.path]), tmp_path / "out.html")


def test_the_page_lies_in_the_directory(played):
    assert default_path([played.path]) == played.path / "report.html"
