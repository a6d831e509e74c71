"""Measures as tables of text, for a terminal and for Markdown."""

from typing import Any

from htpo.markdown import TableText
from htpo.runs.disk import without_nan
from htpo.statistics import estimate_text, p_text


def result_tables(results: dict[str, dict[str, Any]]) -> list[tuple[TableText, int]]:
    """The tables of an evaluation, each with the number of columns of measures whose intervals matter most."""
    answered = {name: found for name, found in results.items() if found["episodes"] is None}
    played = {name: found for name, found in results.items() if found["episodes"] is not None}
    tables = [(summary_table(answered), 3)] if answered else []
    tables += [(episodes_table(played), 2)] if played else []
    for name, found in played.items():
        if len(found["episodes"]["by_task_type"]) > 1:
            tables.append((task_types_table(name, found), 1))
    stability = stability_table(results)
    return tables + ([(stability, len(stability[0]))] if stability else [])


def summary_table(results: dict[str, dict[str, Any]]) -> TableText:
    """Header and rows of the summary of tasks that are answered once, one row per task."""
    samples = next(iter(results.values()))["samples"]
    header = ["task", "problems", f"avg@{samples}", f"pass@{samples}", f"maj@{samples}"]
    header += ["cut off", "no answer", "length"]
    rows = []
    for name, found in results.items():
        last = {end: without_nan(found["pass_at_k"][end][-1]) for end in ("value", "low", "high")}
        vote = (found["maj_at_k"] or {}).get(str(samples))
        rates = [_cell(each, ".3f") for each in (found["avg"], last, vote)]
        shares = [_cell(found[name], ".1%") for name in ("truncated", "unparsable")]
        rows.append([name, str(found["problems"]), *rates, *shares, _cell(found["mean_length"], ".0f")])
    return header, rows


def episodes_table(results: dict[str, dict[str, Any]]) -> TableText:
    """Header and rows of tasks that are played, one row per task."""
    samples = next(iter(results.values()))["samples"]
    header = ["task", "problems", "success", "score", f"pass@{samples}", "steps", "invalid", "step limit", "given up"]
    rows = []
    for name, found in results.items():
        last = {end: without_nan(found["pass_at_k"][end][-1]) for end in ("value", "low", "high")}
        rates = [_cell(each, ".3f") for each in (found["avg"], found["mean_score"], last)]
        counts = [_cell(found["episodes"][each], ".1f") for each in ("steps", "invalid_actions")]
        shares = [_cell(each, ".0%") for each in (found["episodes"]["step_limit"], found["truncated"])]
        rows.append([name, str(found["problems"]), *rates, *counts, *shares])
    return header, rows


def task_types_table(name: str, found: dict[str, Any]) -> TableText:
    """Header and rows of a task that is played, one row per type of its problems."""
    forms = {"avg": ".3f", "mean_score": ".3f", "pass_at_n": ".3f", "steps": ".1f", "invalid_actions": ".1f"}
    header = [name, "problems", "success", "score", f"pass@{found['samples']}", "steps", "invalid"]
    return header, [
        [kind, str(part["problems"]), *(_cell(part[each], form) for each, form in forms.items())]
        for kind, part in found["episodes"]["by_task_type"].items()
    ]


def stability_table(results: dict[str, dict[str, Any]]) -> TableText | None:
    """Header and rows of G-Pass@k for the largest power of two of which the samples are three times as many.

    So many samples its authors ask for (2412.13147). None where that would be k = 1, which is avg.
    """
    first = next(iter(results.values()))
    k = max(2**i for i in range(first["samples"].bit_length()) if 2**i * 3 <= max(first["samples"], 3))
    if k == 1:
        return None
    taus = list(first["g_pass_at_k"][str(k)])
    header = ["task", "problems", *(f"G-Pass@{k} {tau}" for tau in taus), f"mG-Pass@{k}"]
    rows = []
    for name, found in results.items():
        shown = [*(found["g_pass_at_k"][str(k)][tau] for tau in taus), found["mg_pass_at_k"][str(k)]]
        rows.append([name, str(found["problems"]), *(_cell(each, ".3f") for each in shown)])
    return header, rows


def comparison_table(rows: list[dict[str, Any]], labels: list[str]) -> TableText:
    """Header and rows of what `compare` found.

    Args:
        labels: of the two evaluations.
    """
    header = ["task", "measure", *labels, "difference", "p", "p (Holm)"]
    return header, [
        [
            row["task"],
            row["measure"],
            f"{row['first']:.3f}",
            f"{row['second']:.3f}",
            estimate_text(row, "+.3f"),
            p_text(row["p_value"]),
            p_text(row["holm"]),
        ]
        for row in rows
    ]


def _cell(found: dict[str, Any] | None, form: str) -> str:
    return "-" if found is None else estimate_text(found, form, explained=False)
