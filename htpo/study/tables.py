"""The results of a study in words and Markdown tables."""

from collections.abc import Iterator
from typing import Any

from htpo.markdown import TableText, markdown_table
from htpo.statistics import SIGNIFICANCE, estimate_text, p_text, range_text

MEASURES = {
    "entropy_at_the_end": ("entropy, nats per token", ".3f"),
    "length_at_the_end": ("length, tokens", ".1f"),
    "accuracy_at_the_end": ("accuracy in training", ".3f"),
    "prompts_drawn": ("prompts drawn per generation", ".1f"),
    "minutes": ("minutes in updates", ".2f"),
    "differs_from_dapo": ("tokens that differ from DAPO", ".2%"),
}
NOTES = """\
- Under one seed all methods start from the same policy, meet the same prompts in the same order, make the same number
  of updates and are measured on the same problems. Dynamic sampling, where a method has it, draws more prompts.
- pass@k is the unbiased estimate (2107.03374) on held-out problems. Intervals are 95 %: t over seeds, each of which has
  its own problems, on the logit scale (docs/statistics.md).
- Differences are paired by seed, whose problems are the same. "Holm" is the p-value after Holm's correction over all
  tests of its table (pairs and k); d_z is Cohen's effect size: the mean of the seeds' differences over their standard
  deviation.
- Entropy, length and accuracy in training are means over the last tenth of the updates, with the range over seeds.
- "Tokens that differ from DAPO": those whose gradient is not what DAPO's clip would have given, mean over updates.
- Of a benchmark (`evaluate`) the interval before training is over its problems; a method's is over its seeds alone,
  which share the problems. Score: the mean score of episodes, with the range over seeds.
- n/a: not defined. With one seed, or without any spread over seeds, there is no interval.
"""


def markdown(results: dict[str, Any], title: str) -> str:
    """The whole report as Markdown."""
    parts = [f"# Study: {title}\n"]
    if results["missing"]:
        listed = "".join(f"- {run}\n" for run in results["missing"])
        parts.append(f"**Not finished** ({len(results['missing'])} runs), so the numbers below lack them:\n\n{listed}")
    for task, found in results["tasks"].items():
        parts.append(f"## {task}\n\nHeld-out problems: {found['problems']} per seed x {found['samples']} samples.\n")
        parts.append("### pass@k after training\n\n" + markdown_table(*pass_table(found)))
        if found["comparisons"]:
            parts.append("### Differences between methods\n\n" + markdown_table(*difference_table(found)))
        parts += [f"### {title}\n\n" + markdown_table(*table) for title, table in evaluation_tables(found)]
        parts.append("### Training\n\n" + markdown_table(*measure_table(found)))
    parts.append("## How to read this\n\n" + NOTES)
    return "\n".join(parts)


def plain_words(results: dict[str, Any]) -> list[str]:
    """What came out, a line per method and per comparison, at k = 1 and at the largest k."""
    lines = []
    for task, found in results["tasks"].items():
        lines += _measured_in_words(f"{task}, {found['problems']} held-out problems", found)
        for name, evaluated in found.get("evaluations", {}).items():  # absent in results of an earlier version
            lines += _measured_in_words(f"{task} on {name}, {evaluated['problems']} problems", evaluated)
    return lines


def _measured_in_words(what: str, found: dict[str, Any]) -> list[str]:
    ks = sorted({found["k"][0], found["k"][-1]})
    before = ""
    if found["before"] is not None:
        before = "; before: " + ", ".join(f"pass@{k} {found['before'][str(k)]['value']:.3f}" for k in ks)
    lines = [f"{what} x {found['samples']} samples{before}"]
    for method, result in found["methods"].items():
        rates = ", ".join(f"pass@{k} {_cell(result['pass_at_k'][str(k)])}" for k in ks)
        lines.append(f"  {method} ({_seeds(len(result['seeds']))}): {rates}")
    return lines + [f"  {_verdict(row)}" for row in found["comparisons"] if row["k"] in ks]


def _verdict(row: dict[str, Any]) -> str:
    name = f"pass@{row['k']}, {row['method']} - {row['against']}: {_cell(row, '+.3f')}"
    if row["holm"] is None:
        return f"{name}: cannot be tested ({_seeds(row['seeds'])}, no spread)"
    p = f"p {p_text(row['holm'])} after Holm"
    if row["holm"] >= SIGNIFICANCE:
        return f"{name}: no difference shown ({p})"
    return f"{name}: {row['method']} is {'better' if row['value'] > 0 else 'WORSE'} ({p})"


def pass_table(found: dict[str, Any]) -> TableText:
    """pass@k before and after, a row per method."""
    rows, heads = [], ["method", "seeds", *(f"pass@{k}" for k in found["k"])]
    if found["before"] is not None:
        rows.append(["before training", str(found["before"]["1"]["seeds"])])
        rows[0] += [_cell(found["before"][str(k)]) for k in found["k"]]
    for method, result in found["methods"].items():
        seeds = str(len(result["seeds"]))
        rows.append([method, seeds, *(_cell(result["pass_at_k"][str(k)]) for k in found["k"])])
    scores = [result.get("score") for result in found["methods"].values()]
    if any(score is not None for score in scores):
        heads.append("score")
        before = [] if found["before"] is None else [f"{found['score_before']:.3f}"]
        cells = ["n/a" if s is None else range_text(s["mean"], s["min"], s["max"], ".3f") for s in scores]
        rows = [[*row, cell] for row, cell in zip(rows, [*before, *cells], strict=True)]
    return heads, rows


def difference_table(found: dict[str, Any]) -> TableText:
    """Paired differences, a row per comparison and k."""
    rows = [
        [
            f"{row['method']} - {row['against']}",
            str(row["seeds"]),
            str(row["k"]),
            _cell(row, "+.3f"),
            p_text(row["p_value"]),
            p_text(row["holm"]),
            "n/a" if row["effect_size"] is None else f"{row['effect_size']:+.2f}",
        ]
        for row in found["comparisons"]
    ]
    return ["comparison", "seeds", "k", "difference of pass@k", "p", "Holm", "d_z"], rows


def evaluation_tables(found: dict[str, Any]) -> Iterator[tuple[str, TableText]]:
    """Of every benchmark that a task's policies were evaluated on, its tables by their titles."""
    for name, evaluated in found.get("evaluations", {}).items():  # absent in results of an earlier version
        size = f"{evaluated['problems']} problems x {evaluated['samples']} samples"
        yield f"{name}: pass@k after training ({size})", pass_table(evaluated)
        if evaluated["comparisons"]:
            yield f"{name}: differences between methods", difference_table(evaluated)


def measure_table(found: dict[str, Any]) -> TableText:
    """What training looked like, a row per method."""
    rows = []
    for method, result in found["methods"].items():
        cells = [method]
        for name, (_, form) in MEASURES.items():
            value = result["measures"][name]
            cells.append("n/a" if value is None else range_text(value["mean"], value["min"], value["max"], form))
        rows.append(cells)
    return ["method", *(heading for heading, _ in MEASURES.values())], rows


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count > 1)}"


def _cell(found: dict[str, Any], form: str = ".3f") -> str:
    return estimate_text(found, form, explained=False)
