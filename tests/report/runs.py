"""Finished runs for reports, with real words as tokens and, where asked for, hostile text."""

import json

import pyarrow.parquet as pq

from htpo.study.tables import MEASURES
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


def make_played(run):
    """Make episodes of the rollouts: three turns, the second with an invalid action, the third without any."""
    for file in (run.path / "rollouts").glob("*.parquet"):
        rows = pq.read_table(file).to_pydict()
        count = len(rows["prompt"])
        rows["turn_tokens"] = [[2, 3, len(tokens) - 5] for tokens in rows["tokens"]]
        rows["actions"] = [["open fridge 1", "eat fridge 1", None]] * count
        rows["invalid"] = [[False, True, True]] * count
        rows["shown"] = [["it is empty.", "nothing happens."]] * count
        rows["task_type"] = ["clean"] * count
        rows["score"] = [0.25] * count
        step = rows.pop("step")[0]
        run.write_rollouts(step, rows)
    return run


def make_hostile(run):
    """Put markup, script and template syntax wherever the model's or the user's text goes."""
    for file in (run.path / "rollouts").glob("*.parquet"):
        rows = pq.read_table(file).to_pydict()
        rows["prompt"] = [HOSTILE] * len(rows["prompt"])
        rows["gold"] = rows["answer"] = rows["failure"] = [HOSTILE] * len(rows["prompt"])
        rows["tokens"] = [[HOSTILE, *tokens[1:]] for tokens in rows["tokens"]]
        rows["response"] = ["".join(tokens) for tokens in rows["tokens"]]
        step = rows.pop("step")[0]
        run.write_rollouts(step, rows)
    run.write_json("plan.json", {**PLAN, "policy": HOSTILE})
    return run


def write_study_results(path):
    """What `htpo study` would have written."""
    rate = {"value": 0.5, "why": "", "low": 0.4, "high": 0.6, "seeds": 2}
    measures = dict.fromkeys(MEASURES)
    difference = {
        "value": 0.1,
        "why": "",
        "low": -0.01,
        "high": 0.21,
        "seeds": 2,
        "p_value": 0.06,
        "holm": 0.06,
        "effect_size": None,
    }
    method = {"seeds": [0, 1], "pass_at_k": {"1": rate}, "measures": measures}
    results = {
        "methods": {"dapo": {"sums": {}}, "G2 alone": {"sums": {"only": "hard correct high"}}},
        "seeds": [0, 1],
        "recipe": "quickstart",
        "tasks": {
            "sums": {
                "samples": 8,
                "problems": 24,
                "k": [1],
                "before": {"1": rate},
                "methods": {"dapo": method, "G2 alone": method},
                "comparisons": [{"method": "G2 alone", "against": "dapo", "k": 1, **difference}],
            }
        },
    }
    (path / "results.json").write_text(json.dumps(results))
    return results
