"""Measures as tables of text, for a terminal and for Markdown."""

from typing import Any

from htpo.markdown import TableText
from htpo.runs.disk import without_nan
from htpo.statistics import estimate_text, p_text


def summary_table(results: dict[str, dict[str, Any]]) -> TableText:
    """Header and rows of the summary, one row per task."""
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
