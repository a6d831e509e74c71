"""Finished runs for reports, with real words as tokens and, where asked for, hostile text."""

import pyarrow.parquet as pq

from tests.analysis.finished_run import write_run

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
HOSTILE += "\u2028&lt;b&gt; {{ 7 * 7 }} \u202e"
PLAN = {
    "policy": "a tiny policy (7 parameters, 7 trained)",
    "task": "sums: 96 problems",
    "batch": "8 prompts x 4 samples",
}


def write_finished(path, **options):
    """A run that came to its end."""
    run = write_run(path, **options)
    run.write_json("summary.json", {"seconds": 75.0, "updates": 24})
    run.write_json("plan.json", PLAN)
    return run


def make_hostile(run):
    """Put markup, script and template syntax wherever the model's or the user's text goes."""
    for file in (run.path / "rollouts").glob("*.parquet"):
        rows = pq.read_table(file).to_pydict()
        rows["prompt"] = [HOSTILE] * len(rows["prompt"])
        rows["tokens"] = [[HOSTILE, *tokens[1:]] for tokens in rows["tokens"]]
        rows["response"] = ["".join(tokens) for tokens in rows["tokens"]]
        step = rows.pop("step")[0]
        run.write_rollouts(step, rows)
    run.write_json("plan.json", {**PLAN, "policy": HOSTILE})
    return run
