"""Rows for a function of the user's own."""

from tests.tasks.data import load, write_rows


def test_a_function_of_the_user_s_own_sees_the_row_as_it_was_read(tmp_path):
    rows = [{"problem": f"Say {n}", "target": {"value": n}} for n in range(20)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    task = load(path, verifier="tests.verifiers.my_verifiers:ends_with_target", held_out_prompts=2)
    assert (len(task.train), len(task.held_out)) == (18, 2)
    assert task.train[0]["prompt"].startswith("Say ")
    row = task.train[4]
    verdicts = task.verifier.judge([f"it is {row['row'] - 1}", "no"], [row, row])
    assert [verdict.correct for verdict in verdicts] == [True, False]
