"""The math verifier: what counts as the answer, equality, and what hostile text cannot do to it."""

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest

from htpo.errors import UserError
from htpo.verifiers.math.formats import ANSWER_FORMATS, last_answer_line, last_boxed
from htpo.verifiers.math.verifier import LONGEST_ANSWER, MathVerifier


@pytest.fixture(scope="module")
def verifier():
    verifier = MathVerifier(timeout=5.0)
    yield verifier
    verifier.close()


def boxed(answer: str) -> str:
    return f"The final answer is \\boxed{{{answer}}}."


def judge_one(verifier, gold, answer):
    return verifier.judge([boxed(answer)], [{"answer": gold}])[0]


def worker_pids(verifier):
    return [worker.process.pid for worker in verifier._pool._workers]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{4}", "4"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {5}", "5"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{a \\} and {more}", r"a \\"),
        (r"\boxed{\boxed{7}}", "7"),
        ("\\boxed{1\n+ 2}", "1\n+ 2"),
        ("nothing", None),
        (r"\boxed 5", None),
        (r"\boxed{1} then \boxed{2", None),
        (r"\boxed{\text{cut off}", None),
        ("", None),
    ],
)
def test_the_final_answer_is_the_content_of_the_last_closed_box(response, answer):
    assert last_boxed(response) == answer


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("18", "18", True),
        ("18", "018", True),
        ("18", "-18", False),
        (18, "18", True),
        (0.5, r"\frac{1}{2}", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"$\frac{1}{2}$", r"\dfrac12", True),
        ("1/2", "0.25", False),
        ("1,234", "1234", True),
        (r"\$18.90", "18.9", True),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)", True),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi)", False),
        ("p - q", "-q + p", True),
        ("p - q", "q - p", False),
        (r"\{x | x > 3\}", "3", False),
        ("x = 5", "5", True),
        ("4.5e33", r"4.5 \times 10^{33}", True),
        (r"4.5 \times 10^{-3}", "4.5E-3", True),
        ("4.5e33", r"4.5 \times 10^{32}", False),
    ],
)
def test_answers_are_compared_by_mathematical_value(verifier, gold, answer, correct):
    verdict = judge_one(verifier, gold, answer)
    assert verdict.correct is correct
    assert verdict.extracted == answer
    assert verdict.failure is None


def test_a_response_without_a_final_answer_needs_no_worker():
    verifier = MathVerifier()
    responses = ["I do not know", "\\boxed{}", "\\boxed{  }", boxed("1+" * LONGEST_ANSWER + "1"), "\\boxed{3"]
    verdicts = verifier.judge(responses, [{"answer": "3"}] * 5)
    assert [verdict.failure for verdict in verdicts] == ["unparsable"] * 5
    assert not any(verdict.correct for verdict in verdicts)
    assert verifier.failures == {"unparsable": 5}
    assert worker_pids(verifier) == []


def test_equal_texts_and_plain_integers_need_no_worker():
    verifier = MathVerifier()
    rows = [{"answer": "x^2"}, {"answer": "$x^2$"}, {"answer": "12"}, {"answer": "12"}]
    verdicts = verifier.judge([boxed("x^2"), boxed(" x^2 "), boxed("012"), boxed("13")], rows)
    assert [verdict.correct for verdict in verdicts] == [True, True, True, False]
    assert worker_pids(verifier) == []


def test_identical_pairs_of_one_call_are_judged_once(verifier, monkeypatch):
    requests = []
    run = verifier._pool.run
    monkeypatch.setattr(verifier._pool, "run", lambda batch: requests.extend(batch) or run(batch))
    rows = [{"answer": "1/2"}] * 20 + [{"answer": "1/4"}]
    verdicts = verifier.judge([boxed("0.50")] * 21, rows)
    assert [verdict.correct for verdict in verdicts] == [True] * 20 + [False]
    assert sorted(requests) == [["judge", "1/2", "0.50"], ["judge", "1/4", "0.50"]]


HOSTILE = [
    r"10^{10^{10}}",
    r"1000000000000!",
    r"\binom{10^{9}}{5 \cdot 10^{8}}",
    r"\int_0^{\infty} \frac{\sin(x^x)}{e^{x^x}} dx",
    r"\lim_{x \to 0} \sin(1/x)^{1/x}",
    r"\sqrt[99999999]{99999999^{99999999}}",
    r"(x+y+z)^{10000}",
    r"\sin(\cos(\tan(" * 60 + "x" + ")))" * 60,
    "{" * 10000 + "}" * 10000,
    "{" * 900 + "1" + "}" * 900,
    "(" * 1500,
    "-" * 1900 + "1",
    "9" * 1900,
    "0." + "3" * 1900,
    "1" + ",000" * 400,
    "x_{" * 300 + "1" + "}" * 300,
    r"\begin{pmatrix}" + r"1 & 2 \\" * 200 + r"\end{pmatrix}",
    r"\begin{cases}" * 100,
    r"\text{" * 200 + "}" * 200,
    r"\frac" * 400,
    "^" * 1000,
    "$" * 999,
    "\\" * 1001 + " ",
    "a,b and c or " * 120,
    "\x00",
    "1\x002",
    "\x00" * 500 + "7",
    "\ud800",
    "٣",
    "\uff17",
    "\U0001d7d5",
    "½",
    "∞ - ∞",
    "🦆" * 500,
    "\u202e7\u202c",
    "é̂̃" * 300,
    "\r\n\t\v\f7",
    "__import__('os').system('touch /tmp/htpo-was-here')",
    "lambda: 7",
    r"\input{/etc/passwd}",
    r"\def\x{\x\x}\x",
    "nan",
    "inf",
    "1e999999999",
    "0/0",
    r"\frac{1}{0}",
    "x = y = z = " * 100 + "7 8",
    "1 < " * 300 + "2",
    r"\{" + ",".join(map(str, range(400))) + r"\}",
]


def test_hostile_expressions_neither_hang_nor_stop_the_verifier():
    verifier = MathVerifier(timeout=0.5, memory_limit_mb=512)
    verdicts = verifier.judge([boxed(text) for text in HOSTILE], [{"answer": "7"}] * len(HOSTILE))
    after = judge_one(verifier, r"\frac{1}{2}", "0.5")
    verifier.close()
    accepted = {text for text, verdict in zip(HOSTILE, verdicts) if verdict.correct}
    assert accepted <= {"\x00" * 500 + "7", "\uff17", "\U0001d7d5", "\r\n\t\v\f7", "lambda: 7"}
    assert verifier.failures["timeout"] >= 1
    assert {verdict.failure for verdict in verdicts} <= {None, "timeout", "crash", "unparsable"}
    assert after.correct


def test_the_two_known_endless_powers_hang_nothing_and_time_outs_are_counted():
    verifier = MathVerifier(timeout=0.5)
    answers = ["10^{10^{10}}", "9999^{9999^{9999}}"]
    verdicts = verifier.judge([boxed(answer) for answer in answers], [{"answer": "7"}] * 2)
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [(False, None), (False, "timeout")]
    assert verifier.failures == {"timeout": 1}
    verifier.close()


def test_a_worker_killed_at_work_costs_only_its_own_answer():
    verifier = MathVerifier(workers=1, timeout=20.0)
    judge_one(verifier, "1/2", "0.5")
    pid = worker_pids(verifier)[0]
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    responses = [boxed("9999^{9999^{9999}}"), boxed("0.25")]
    verdicts = verifier.judge(responses, [{"answer": "1/2"}, {"answer": "1/4"}])
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [(False, "crash"), (True, None)]
    assert verifier.failures == {"crash": 1}
    assert worker_pids(verifier) != [pid]
    verifier.close()


def test_an_idle_worker_killed_from_outside_is_replaced():
    verifier = MathVerifier(workers=1)
    judge_one(verifier, "1/2", "0.5")
    verifier._pool._workers[0].process.kill()
    verifier._pool._workers[0].process.wait()
    assert judge_one(verifier, "1/4", "0.25").correct
    assert not verifier.failures
    verifier.close()


def test_it_works_in_a_thread_and_leaves_the_callers_alarm_alone(verifier):
    verdicts, rung = [], []
    previous = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 60)
        thread = threading.Thread(target=lambda: verdicts.append(judge_one(verifier, "1/8", "0.125")))
        thread.start()
        thread.join(30)
        assert judge_one(verifier, "1/5", "0.2").correct
        remaining = signal.setitimer(signal.ITIMER_REAL, 0.01)[0]
        time.sleep(0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert verdicts[0].correct
    assert 0 < remaining < 60
    assert rung == [True]


def test_threads_that_call_at_once_get_their_own_verdicts(verifier):
    results = {}

    def work(number):
        results[number] = [judge_one(verifier, f"{number}/7", f"\\frac{{{n}}}{{7}}").correct for n in range(1, 6)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {number: [n == number for n in range(1, 6)] for number in range(1, 6)}


def test_an_unguarded_script_is_not_run_again_and_workers_import_no_torch(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "print('started')\n"
        "import pathlib\n"
        "from htpo.verifiers.math.verifier import MathVerifier\n"
        "verifier = MathVerifier(workers=1)\n"
        "print(verifier.judge([r'\\boxed{0.5}'], [{'answer': '1/2'}])[0].correct)\n"
        "maps = pathlib.Path(f'/proc/{verifier._pool._workers[0].process.pid}/maps')\n"
        "print('torch' in maps.read_text() if maps.exists() else False)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["started", "True", "False"]


def test_workers_end_when_their_parent_is_killed():
    code = (
        "import sys; from htpo.verifiers.math.verifier import MathVerifier\n"
        "v = MathVerifier(workers=1); v.judge([r'\\boxed{0.5}'], [{'answer': '1/2'}])\n"
        "print(v._pool._workers[0].process.pid, flush=True); sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_close_is_safe_twice_and_the_next_answer_starts_again():
    verifier = MathVerifier(workers=1)
    verifier.close()
    assert judge_one(verifier, "1/2", "0.5").correct
    pid = worker_pids(verifier)[0]
    verifier.close()
    verifier.close()
    assert not is_running(pid)
    assert judge_one(verifier, "1/2", "0.5").correct
    verifier.close()


def test_copies_and_pickles_keep_settings_and_share_no_process(verifier):
    judge_one(verifier, "1/2", "0.5")
    for twin in (copy.deepcopy(verifier), pickle.loads(pickle.dumps(verifier))):
        assert worker_pids(twin) == []
        assert twin.failures == verifier.failures
        assert judge_one(twin, "1/2", "0.5").correct
        assert not set(worker_pids(twin)) & set(worker_pids(verifier))
        twin.close()
    assert judge_one(verifier, "1/3", r"\frac{2}{6}").correct


def test_an_answer_pattern_takes_the_place_of_the_box():
    verifier = MathVerifier(answer_pattern=r"(?i)answer:\s*(.+)", workers=1)
    responses = ["Answer: 3\nso, answer: 0.50", "\\boxed{1/2}", "Answer:  "]
    verdicts = verifier.judge(responses, [{"answer": "1/2"}] * 3)
    assert [verdict.extracted for verdict in verdicts] == ["0.50", None, None]
    assert [verdict.correct for verdict in verdicts] == [True, False, False]
    assert verifier.failures == {"unparsable": 2}
    verifier.close()


def test_a_pattern_that_backtracks_for_years_is_stopped():
    verifier = MathVerifier(answer_pattern=r"((?:a+)+)$", workers=1, timeout=0.5)
    verdicts = verifier.judge(["a" * 60 + "b", "x = aa"], [{"answer": "aa"}] * 2)
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [(False, "timeout"), (True, None)]
    verifier.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"answer_pattern": "("}, "not a regular expression"),
        ({"answer_pattern": "answer"}, "has 0 groups"),
        ({"answer_pattern": "(a)(b)"}, "has 2 groups"),
        ({"answer_format": "json"}, "choose one of boxed, answer_line"),
        ({"answer_format": "answer_line", "answer_pattern": "(a)"}, "give only one"),
        ({"workers": 0}, "workers=0"),
        ({"timeout": 0.0}, r"timeout=0\.0"),
        ({"memory_limit_mb": -1}, "memory_limit_mb=-1"),
    ],
)
def test_unusable_settings_are_refused_by_name(settings, message):
    with pytest.raises(UserError, match=message):
        MathVerifier(**settings)


def test_a_worker_that_cannot_start_is_said_in_one_line():
    verifier = MathVerifier(workers=1, memory_limit_mb=20)
    with pytest.raises(UserError, match=r"does not start .*memory_limit_mb=20") as caught:
        judge_one(verifier, "1/2", "0.5")
    assert "\n" not in str(caught.value)


def test_a_row_without_gold_is_refused_with_the_column(verifier):
    with pytest.raises(UserError, match="no gold answer in column 'answer'"):
        verifier.judge([boxed("1")], [{"solution": "1"}])


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("18", None),
        (18, None),
        (2.5, None),
        (r"\frac{\pi}{2}", None),
        (r"$\frac{1}{2 n+2}$", None),
        ("", "empty"),
        (None, "empty"),
        (" $$ ", "empty"),
        (r"\{x | x > 3\}", None),
        ("Friday", None),
        ("<", None),
        ("It is not possible.", "cannot read"),
        ("A line that is parallel to both of the given lines.", "cannot read"),
        (r"1 \cdot 3 \cdots (2n-1)", "cannot read"),
        ("x" * 3000, "3000 characters"),
    ],
)
def test_golds_that_cannot_be_scored_are_named(verifier, gold, reason):
    found = verifier.check_gold(gold)
    assert found is None if reason is None else reason in found


def test_a_gold_that_takes_too_long_to_read_is_named():
    verifier = MathVerifier(timeout=0.5, workers=1)
    assert "timeout" in verifier.check_gold("(" * 1500)
    verifier.close()


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Answer: 5", "5"),
        ("Answer: 4\nno,\nanswer: 5\n", "5"),
        ("so\n**Answer:** $x^2$", "$x^2$"),
        ("**Final Answer: 7**", "7"),
        ("## ANSWER : \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("Answer: $\\boxed{3}$", "3"),
        ("Answer:", ""),
        ("Answer: 5\nAnswer:", ""),
        ("The answer is: 5", None),
        ("we write Answer: 5", None),
        ("\\boxed{5}", None),
        ("", None),
    ],
)
def test_the_final_answer_is_what_follows_the_last_answer_line(response, answer):
    assert last_answer_line(response) == answer


@pytest.mark.parametrize("name", ANSWER_FORMATS)
def test_each_prompt_asks_for_exactly_what_is_read(name, verifier):
    form = ANSWER_FORMATS[name]
    prompt = form.prompt_template.replace("{prompt}", "What is 1 + 1?")
    assert {"boxed": "\\boxed{}", "answer_line": '"Answer:"'}[name] in prompt
    response = form.response.replace("{answer}", "2")
    assert form.final_answer(response) == "2"
    judge = MathVerifier(answer_format=name)
    # A model that repeats the instruction is judged on the answer it gives after it.
    verdicts = judge.judge([f"{prompt}\nIt is two.\n{response}", prompt], [{"answer": "2"}] * 2)
    assert [(verdict.correct, verdict.failure) for verdict in verdicts] == [(True, None), (False, "unparsable")]


def test_all_gsm8k_golds_are_readable_and_judged_right(shared_data, verifier):
    with open(shared_data / "math" / "gsm8k_test.jsonl", encoding="utf-8") as file:
        golds = [json.loads(line)["answer"] for line in file]
    assert set(verifier.check_golds(golds)) == {None}
    rows = [{"answer": gold} for gold in golds]
    assert all(verdict.correct for verdict in verifier.judge([boxed(gold) for gold in golds], rows))
    wrong = verifier.judge([boxed(str(int(gold) + 1)) for gold in golds], rows)
    assert not any(verdict.correct for verdict in wrong)


def test_agreement_with_the_labels_of_hard_formats_keeps_its_measured_level(shared_data, verifier):
    with open(shared_data / "grading" / "hard_formats_dev.jsonl", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    verdicts = verifier.judge([boxed(row["response"]) for row in rows], [{"answer": row["gold"]} for row in rows])
    agreement = sum(verdict.correct == row["label"] for verdict, row in zip(verdicts, rows)) / len(rows)
    assert agreement >= 0.96  # math-verify with all its fallbacks: 0.80
    assert not any(verdict.correct and not row["label"] for verdict, row in zip(verdicts, rows))
