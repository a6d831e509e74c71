"""`htpo eval` as a command: real benchmarks by a local model and by a server; stopping, judging again, comparing."""

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import make_dataclass
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from htpo.cli.evaluate.command import evaluate_from_arguments
from htpo.errors import UserError
from tests.cli.command import command, htpo, htpo_afresh, one_thread, sums, write_problems
from tests.evaluate.generators.servers import Misbehaviour, Server, chat_answer, running

FILES = {
    "aime24": "aime2024.jsonl",
    "aime25": "aime2025.jsonl",
    "amc23": "amc2023_40.jsonl",
    "minerva": "minerva_math.jsonl",
    "olympiadbench": "olympiadbench_oe_to_maths_en.jsonl",
}
ASKED = re.compile(r"(\d+)\+\d+=")


@pytest.fixture
def benchmarks(shared_data):
    return ",".join(f"{name}={shared_data / 'math' / file}" for name, file in FILES.items())


def results(directory):
    return json.loads((directory / "results.json").read_text())


def rows_of(directory, task):
    return pq.read_table(directory / "samples" / task).to_pylist()


def double(body):
    """Right for even numbers; for odd ones every other seed is right."""
    number = int(ASKED.search(body["messages"][0]["content"])[1])
    right = number % 2 == 0 or body["seed"] % 2 == 0
    return chat_answer(f"\\boxed{{{2 * number if right else -1}}}\nAnswer: 7")


@pytest.mark.slow
def test_a_local_model_is_measured_on_the_real_benchmarks(tmp_path, tiny_model, benchmarks):
    run = tmp_path / "run"
    options = ["--samples", "2", "--max_tokens", "12", "--problems", "6", "--output_dir", run]
    done = htpo_afresh("eval", tiny_model, "--tasks", benchmarks, *options)
    assert done.returncode == 0, done.stderr
    assert "30 problems x 2 samples = 60 responses, at temperature 1, top-p 0.7, at most 12 tokens" in done.stdout
    found = results(run)["tasks"]
    assert list(found) == list(FILES)
    for name, task in found.items():
        assert re.search(rf"^ {name} +0\.000 ", done.stdout, re.MULTILINE)
        assert (task["problems"], task["samples"]) == (6, 2)
        rows = rows_of(run, name)
        assert len(rows) == 12
        assert all("put your final answer within \\boxed{}" in row["prompt"] for row in rows)
        assert task["truncated"]["value"] == pytest.approx(sum(not row["finished"] for row in rows) / 12)
        assert task["mean_length"]["value"] == pytest.approx(sum(row["tokens"] for row in rows) / 12)
        cut = f"{task['truncated']['value']:.0%} of the responses to {name} were cut off"
        assert (cut in done.stdout) == (task["truncated"]["value"] > 0.1)
    assert any(task["truncated"]["value"] > 0.1 for task in found.values())
    assert (run / "figures" / "pass-at-k.svg").is_file()
    assert (run / "results.md").read_text().startswith("# ")
    assert (run / "config.yaml").is_file()
    assert (run / "versions.json").is_file()


def test_responses_that_were_all_cut_off_are_said_so(tmp_path, tiny_model):
    problems = write_problems(tmp_path / "sums.jsonl", sums(2))
    options = ["--verifier", "math", "--samples", "2", "--max_tokens", "1", "--output_dir", tmp_path / "run"]
    done = htpo("eval", tiny_model, "--tasks", problems, *options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Note: \d+% of the responses to sums were cut off", done.stdout)


def test_a_server_that_knows_the_answers_solves_the_real_benchmarks(tmp_path, shared_data, benchmarks):
    golds = {}
    for file in FILES.values():
        for line in (shared_data / "math" / file).read_text().splitlines():
            row = json.loads(line)
            answer = row.get("final_answer", row["answer"])
            golds[row["problem"]] = answer if isinstance(answer, str) else ", ".join(map(str, answer))

    def know(body):
        problem = body["messages"][0]["content"].rpartition("\n\nPlease reason")[0]
        return chat_answer(f"\\boxed{{{golds[problem].strip('$')}}}")

    run = tmp_path / "run"
    flaky = Misbehaviour.status(429, {"Retry-After": "0.01"})
    with running(Server(know, lambda number, body: flaky if number in (5, 17) else None)) as server:
        done = htpo(
            "eval", "served", "--tasks", benchmarks, "--base_url", server.url, "--samples", "2", "--problems", "10",
            "--output_dir", run,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = results(run)
    assert {task: each["avg"]["value"] for task, each in found["tasks"].items()} == dict.fromkeys(FILES, 1.0)
    assert found["requests"] == {"without_answer": 0, "tried_again": {"status 429": 2}}
    assert "2 for status 429" in done.stdout


def test_a_killed_evaluation_goes_on_without_losing_or_repeating(tmp_path):
    path, run = write_problems(tmp_path / "sums.jsonl", sums(12)), tmp_path / "run"

    def hang(handler):
        time.sleep(30)

    slow = Server(double, lambda number, body: hang if number >= 20 else None)
    options = ["--tasks", path, "--verifier", "math", "--samples", "4", "--concurrency", "4", "--output_dir", run]
    with running(slow) as server:
        begun = command("eval", "served", *options, "--base_url", server.url)
        process = subprocess.Popen(begun, env=one_thread(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not list(run.glob("samples/sums/*.parquet")) and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = {(row["problem"], row["sample"]) for row in rows_of(run, "sums")}
    assert kept
    with running(Server(double)) as server:
        done = htpo("eval", "--resume", "--output_dir", run, "--base_url", server.url)
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} of them stored before" in done.stdout
    assert len(server.bodies) == 48 - len(kept)
    rows = rows_of(run, "sums")
    assert sorted((row["problem"], row["sample"]) for row in rows) == [
        (p, s) for p in range(1, 13) for s in range(1, 5)
    ]
    assert all(row["correct"] for row in rows if row["problem"] % 2)  # line 1 asks for 0 + 0


def test_a_server_that_dies_leaves_what_it_answered_and_says_how_to_go_on(tmp_path):
    path, run = write_problems(tmp_path / "sums.jsonl", sums(12)), tmp_path / "run"
    options = ["--tasks", path, "--verifier", "math", "--samples", "2", "--concurrency", "2", "--retries", "1"]
    with running(Server(double, lambda number, body: Misbehaviour.drop if number >= 10 else None)) as server:
        done = htpo("eval", "served", *options, "--base_url", server.url, "--output_dir", run)
    assert done.returncode == 2
    assert "did not answer 2 requests in a row, each tried 2 times (the last: a dropped connection)" in done.stderr
    assert f"10 of 24 samples are stored; go on with htpo eval --resume --output_dir {run}" in done.stderr
    assert len(rows_of(run, "sums")) == 10
    again = htpo("eval", "--compare", run, run)
    assert again.returncode == 2
    assert "is not finished: 10 of 24 samples of sums are there" in again.stderr


def test_stored_samples_are_judged_again_and_evaluations_compared_without_a_server(tmp_path):
    path, run, second = write_problems(tmp_path / "sums.jsonl", sums(8)), tmp_path / "run", tmp_path / "second"
    with running(Server(double)) as server:
        first = ["--tasks", path, "--verifier", "math", "--samples", "4", "--base_url", server.url]
        done = htpo("eval", "served", *first, "--output_dir", run)
    assert done.returncode == 0, done.stderr
    judging = ["--answer_format", "answer_line", "--g_pass_tau", "0.25", "1"]
    again = htpo("eval", "--rescore", run, *judging, "--output_dir", second)
    assert again.returncode == 0, again.stderr
    assert {row["extracted"] for row in rows_of(second, "sums")} == {"7"}
    assert [row["response"] for row in rows_of(second, "sums")] == [row["response"] for row in rows_of(run, "sums")]
    assert results(second)["tasks"]["sums"]["avg"]["value"] == 0
    assert list(results(second)["tasks"]["sums"]["g_pass_at_k"]["4"]) == ["0.25", "1.0"]
    compared = htpo("eval", "--compare", run, second, "--output_dir", tmp_path / "comparison")
    assert compared.returncode == 0, compared.stderr
    rows = json.loads((tmp_path / "comparison" / "comparison.json").read_text())["rows"]
    assert [row["measure"] for row in rows] == ["avg", "pass@2", "pass@4", "maj@4"]
    assert rows[0]["value"] == -results(run)["tasks"]["sums"]["avg"]["value"]
    assert rows[0]["p_value"] < 0.05
    assert rows[0]["p_value"] <= rows[0]["holm"] <= 4 * rows[0]["p_value"]


def test_responses_that_hold_only_reasoning_are_counted_and_the_reasoning_is_stored(tmp_path):
    def think(body):
        number = int(ASKED.search(body["messages"][0]["content"])[1])
        if number < 2:  # cut while it reasons; what stands there is no answer
            return chat_answer(None, reason="length", reasoning_content=f"\\boxed{{{2 * number}}}")
        return chat_answer(f"\\boxed{{{2 * number}}}", reasoning="2 + 2, that is")

    path, run = write_problems(tmp_path / "sums.jsonl", sums(4)), tmp_path / "run"
    with running(Server(think)) as server:
        options = ["--tasks", path, "--verifier", "math", "--samples", "3", "--base_url", server.url]
        done = htpo("eval", "served", *options, "--output_dir", run)
    assert done.returncode == 0, done.stderr
    assert "Note: 6 responses to sums held only reasoning: raise --max_tokens" in done.stdout
    assert results(run)["only_reasoning"] == {"sums": 6}
    assert results(run)["tasks"]["sums"]["avg"]["value"] == 0.5
    rows = rows_of(run, "sums")
    assert {row["reasoning"] for row in rows} == {"\\boxed{0}", "\\boxed{2}", "2 + 2, that is"}
    again = htpo("eval", "--rescore", run, "--output_dir", tmp_path / "again")
    assert results(tmp_path / "again")["only_reasoning"] == {"sums": 6}, again.stderr


def test_puzzles_and_the_shipped_policy_are_measured_by_their_names(tmp_path):
    options = ["--problems", "10", "--samples", "4", "--max_tokens", "32", "--output_dir", tmp_path / "run"]
    done = htpo("eval", "htpo/assets/number_path", "--tasks", "number_path", *options)
    assert done.returncode == 0, done.stderr
    assert 0 < results(tmp_path / "run")["tasks"]["number_path"]["avg"]["value"] < 1


def test_the_api_key_is_sent_but_never_stored_or_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    path, run = write_problems(tmp_path / "sums.jsonl", sums(3)), tmp_path / "run"
    with running(Server(double)) as server:
        options = ["--tasks", path, "--verifier", "math", "--samples", "1", "--base_url", server.url]
        done = htpo("eval", "served", *options, "--api_key_env", "MY_KEY", "--output_dir", run)
    assert done.returncode == 0, done.stderr
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-very-secret"}
    assert "sk-very-secret" not in done.stdout + done.stderr
    assert not [file for file in run.rglob("*") if file.is_file() and b"sk-very-secret" in file.read_bytes()]


def test_a_run_in_place_of_a_model_is_told_where_its_model_is(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0")
    with pytest.raises(UserError, match=f"{tmp_path} is a run: its model is {tmp_path}/model"):
        evaluate_from_arguments([str(tmp_path), "--tasks", "number_path"])


def test_an_unknown_engine_option_is_named_before_the_model_is_loaded(tmp_path, monkeypatch):
    engine = SimpleNamespace(EngineArgs=make_dataclass("EngineArgs", ["model", "enforce_eager"]))
    monkeypatch.setitem(sys.modules, "vllm", engine)
    options = ["--tasks", "number_path", "--backend", "vllm", "--vllm_options", "{enforce_eagr: true}"]
    with pytest.raises(UserError, match="no engine option 'enforce_eagr': did you mean 'enforce_eager'"):
        evaluate_from_arguments(["/none", *options, "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_the_engine_has_no_room_for_is_refused_before_the_model_is_loaded(
    tiny_model, tmp_path, monkeypatch
):
    engine = SimpleNamespace(EngineArgs=make_dataclass("EngineArgs", ["model"]))
    monkeypatch.setitem(sys.modules, "vllm", engine)
    options = ["--tasks", "number_path", "--backend", "vllm", "--max_model_len", "12"]
    with pytest.raises(UserError, match="tokens and the engine takes 12 with the response: raise --max_model_len"):
        evaluate_from_arguments([tiny_model, *options, "--output_dir", str(tmp_path / "run")])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no model: htpo eval MODEL --tasks"),
        (["/none"], "no tasks: give --tasks"),
        (["/none", "--tasks", "number_path"], "from '/none': there is no such folder. Give a folder with a model, a"),
        (["/none", "--tasks", "number_pat"], "cannot load a model from '/none'"),
        (["m", "--tasks", "number_path", "--sample", "3"], "did you mean 'samples'?"),
        (["m", "--tasks", "number_path", "--samples", "0"], "samples=0 must be at least 1"),
        (["m", "--tasks", "number_path", "--top_p", "0"], "top_p=0.0 must be above 0"),
        (["m", "--tasks", "number_path", "--temperature", "nan"], "temperature=nan must be 0"),
        (["m", "--tasks", "number_path", "--backend", "tgi"], "backend 'tgi' is unknown"),
        (["m", "--tasks", "number_path", "--backend", "server"], "needs its address: --base_url"),
        (["m", "--tasks", "number_path", "--concurrency", "3"], "--concurrency has no effect on backend transformers"),
        (["m", "--tasks", "number_path", "--max_model_len", "9"], "--max_model_len has no effect on backend transfor"),
        (
            ["m", "--tasks", "number_path", "--gpu_memory_utilization", "2"],
            "gpu_memory_utilization=2.0 must be a share",
        ),
        (["m", "--tasks", "number_path", "--tensor_parallel_size", "0"], "tensor_parallel_size=0 must be at least 1"),
        (["m", "--tasks", "number_path", "--g_pass_tau", "0.5", "0"], "g_pass_tau 0.0 must be above 0"),
        (["m", "--tasks", "number_path", "--base_url", "localhost"], "must start with http:// or https://"),
        (["m", "--tasks", "number_path", "--base_url", "http://127.0.0.1:1/v1"], "no server answers at"),
        (
            ["m", "--tasks", "number_path", "--base_url", "http://a/v1", "--chat_template_kwargs", "{}"],
            "--chat_template_kwargs has no effect on backend server",
        ),
        (["m", "--tasks", "number_path", "--dataset_weights", "1"], "unknown option 'dataset_weights'"),
        (["m", "--tasks", "number_path,number_path", "--base_url", "http://a/v1"], "two tasks are called"),
        (["m", "--tasks", "number_path", "--base_url", "http://a/v1", "--extra_body", "[1]"], "must be a JSON object"),
        (["m", "--tasks", "a.jsonl", "--base_url", "http://a/v1", "--api_key_env", "NONE"], "a.jsonl needs a verifier"),
        (["m", "--tasks", "number_path", "--base_url", "http://a/v1", "--api_key_env", "NO_KEY"], "is not set"),
        (["--resume"], "--resume needs --output_dir"),
        (["--resume", "--output_dir", "none"], "none"),
        (["--compare", "none"], "--compare needs two directories"),
        (["--compare", "none", "none"], "none is not the directory of an evaluation"),
        (["--rescore", "none", "--verifier", "math"], "none is not the directory of an evaluation"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, message, tmp_path, capfd, monkeypatch):
    from htpo import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["htpo", "eval", *arguments])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    error = capfd.readouterr().err
    assert ended.value.code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
