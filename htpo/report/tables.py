"""The numbers of the page as tables of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from htpo.runs import RunRecord, options_in_words
from htpo.statistics import Estimate, estimate_text, number_text, p_text, powers_of_two
from htpo.study.tables import difference_table, evaluation_tables, measure_table, pass_table
from htpo.tasks.prompts import readable

PROBLEMS = (
    *("dataset", "dataset_config", "dataset_split", "dataset_weights", "eval_dataset", "eval_split"),
    *("train_prompts", "held_out_prompts", "eval_temperature", "eval_top_p", "max_completion_length", "seed"),
    *("engine", "data.val_files", "data.val_max_samples", "data.max_response_length", "data.seed"),
    *(f"actor_rollout_ref.rollout.val_kwargs.{name}" for name in ("do_sample", "temperature", "top_p", "top_k")),
)
"""Options that decide which held-out problems are measured, and how."""
LONGEST_EXAMPLE = 600  # characters of a prompt or answer
NO_VERDICT, NO_TOKEN = "no answer got a verdict", "no token was trained on"
IN_TRAINING: dict[str, tuple[str, str, str]] = {
    "accuracy": ("accuracy of answers", ".3f", NO_VERDICT),
    "reward": ("reward, shaping included", ".3f", NO_VERDICT),
    "unscored_share": ("answers without a verdict", ".1%", ""),
    "entropy": ("entropy, nats per token", ".3f", NO_TOKEN),
    "completions/mean_length": ("answer length, tokens", ".1f", ""),
    "completions/clipped_ratio": ("answers cut off", ".1%", ""),
    "clip/region_fraction": ("tokens at which the clip binds", ".2%", NO_TOKEN),
    "differs_from_ppo": ("tokens whose gradient is not PPO's", ".2%", NO_TOKEN),
}
"""Metrics: what each is called, its form, and why it may be absent."""


@dataclass(frozen=True)
class PageTable:
    """Text in rows; the first column names the row."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""
    marked: set[int] = field(default_factory=set)  # rows that stand out


def held_out_table(run: RunRecord) -> PageTable | None:
    """pass@k before, after and the change; None when it was not measured twice."""
    if run.before is None or run.after is None:
        return None
    rows = []
    for k in powers_of_two(run.after.samples):
        found = run.held_out_change(k)
        rates = [cell(rates.estimate(k)) for rates in (run.before, run.after)]
        rows.append([f"pass@{k}", *rates, cell(found, "+.3f"), p_text(found.p_value)])
    rows.append(["answer length, tokens", f"{run.before.mean_length:.1f}", f"{run.after.mean_length:.1f}", "", ""])
    rows.append(["answers cut off", f"{run.before.truncated:.1%}", f"{run.after.truncated:.1%}", "", ""])
    return PageTable(
        f"{run.after.problems} held-out problems x {run.after.samples} answers",
        ["", "before", "after", "change", "p"],
        rows,
        "95 % intervals over problems; change and p-value (Student's t) are paired problem by problem.",
    )


def example_table(run: RunRecord) -> PageTable | None:
    """A right and a wrong answer to a held-out problem; None when nothing was measured."""
    rates = run.after or run.before
    if rates is None or not rates.examples:
        return None
    rows = [
        ["right" if one["correct"] else "wrong", shortened(readable(one["prompt"])), shortened(one["response"])]
        for one in rates.examples
    ]
    when = "after" if run.after else "before"
    return PageTable(f"Answers {when} training, for example", ["", "problem", "answer"], rows)


def shortened(text: str) -> str:
    """The text, or its beginning and end with what is left out between them."""
    if len(text) <= LONGEST_EXAMPLE:
        return text
    kept = LONGEST_EXAMPLE // 2
    return f"{text[:kept]}\n[... {len(text) - 2 * kept:,} characters ...]\n{text[-kept:]}"


def training_table(run: RunRecord) -> PageTable:
    """What was logged, over the first and the last tenth of the updates; where that is one update each, of those."""
    rows = []
    for name, (label, form, why) in IN_TRAINING.items():
        if run.logged(name):
            rows.append([label, *(number_text(mean, form, why) for mean in (run.at_start(name), run.at_end(name)))])
    if len(run.updates) == 1:
        return PageTable("In training", ["", "the only update"], [row[:2] for row in rows])
    if run.tenth == 1:
        return PageTable("In training", ["", "first update", "last update"], rows)
    return PageTable("In training", ["", "first tenth", "last tenth"], rows, "Means over updates.")


def runs_table(runs: Sequence[RunRecord]) -> PageTable:
    """Runs side by side."""
    rows = [["updates", *(str(run.updates[-1]["step"] if run.updates else 0) for run in runs)]]
    measured = [run.after for run in runs if run.after]
    for k in powers_of_two(min(rates.samples for rates in measured)) if measured else ():
        rows.append([f"pass@{k} after", *(cell(r.after.estimate(k)) if r.after else "not measured" for r in runs)])
    for name, (label, form, why) in IN_TRAINING.items():
        if any(run.logged(name) for run in runs):
            ends = (number_text(r.at_end(name), form, why) if r.logged(name) else "not logged" for r in runs)
            rows.append([f"{label}, last tenth", *ends])
    return PageTable("Side by side", ["", *(run.label for run in runs)], rows, "95 % intervals over problems.")


def differences_table(runs: Sequence[RunRecord]) -> PageTable:
    """Every other run minus the first, paired over the held-out problems they share."""
    first, *others = runs
    title, columns = f"Differences to {first.label}", ["", "measure", "difference", "p"]
    rows, apart = [], []
    for run in others:
        if not _same_problems(first, run):
            apart.append(run.label)
            continue
        for k in powers_of_two(min(first.after.samples, run.after.samples)):
            found = run.after.change_from(first.after, k)
            rows.append([run.label, f"pass@{k}", cell(found, "+.3f"), p_text(found.p_value)])
    note = "95 % intervals and p-values (Student's t), paired over problems; one training run each, so chance of "
    note += "training is not in them: htpo study compares methods over seeds."
    if apart:
        note += f" Not compared, for they were not measured on the same problems: {', '.join(apart)}."
    return PageTable(title, columns, rows, note)


def objective_table(run: RunRecord) -> PageTable:
    """The groups of the objective: what each holds, its rule, and its part in training."""
    shares = {
        "token_share": ("share of tokens", ".1%"),
        "weight_share": ("share of gradient", ".1%"),
        "entropy": ("mean entropy", ".3f"),
    }
    groups = run.objective.groups
    known = {name: any(run.logged(f"group/{group.name}/{name}") for group in groups) for name in shares}
    rows = []
    for group in groups:
        row = [run.objective.tokens_of(group), group.rule_text, group.plain_words]
        for name, (_, form) in shares.items():
            if known[name]:
                row.append(number_text(run.throughout(f"group/{group.name}/{name}"), form, "no token in this group"))
        rows.append(row)
    columns = ["tokens", "rule", "in words", *(label for name, (label, _) in shares.items() if known[name])]
    note = "Shares and entropy (nats per token) are means over all updates. Gradient: sum of |w A|."
    return PageTable("", columns, rows, note if any(known.values()) else "")


def plan_table(runs: Sequence[RunRecord]) -> PageTable | None:
    """What every run said before it started; None when none said anything."""
    names = dict.fromkeys(name for run in runs for name in run.plan)
    if not names:
        return None
    columns = ["", *(run.label for run in runs)] if len(runs) > 1 else ["", ""]
    return PageTable("", columns, [[name, *(run.plan.get(name, "") for run in runs)] for name in names])


def config_table(runs: Sequence[RunRecord]) -> PageTable:
    """Options of every run; those that differ come first and are marked."""
    seed = {"seed"} if any(run.engine == "trl" for run in runs) else set()
    names = sorted({name for run in runs for name in run.config} | seed)
    values = {name: [_option_text(run.config.get(name, "default")) for run in runs] for name in names}
    different = [name for name in names if len(set(values[name])) > 1]
    order = different + [name for name in names if name not in different]
    columns = ["option", *(run.label for run in runs)] if len(runs) > 1 else ["option", "value"]
    where = dict.fromkeys("verl_config.yaml" if run.engine == "verl" else "htpo train --options" for run in runs)
    return PageTable(
        "Options",
        columns,
        [[name, *values[name]] for name in order],
        f"All others have the defaults of these versions ({' or '.join(where)}).",
        marked=set(range(len(different))),
    )


def study_tables(found: Mapping[str, Any] | None) -> list[PageTable]:
    """What a study found of a task, as in its own report; none where no run of it is done."""
    of = {
        "pass@k after training": pass_table,
        "Differences between methods": difference_table,
        "In training": measure_table,
    }
    if not found:
        return []
    own = [(title, table(found)) for title, table in of.items()]
    return [PageTable(title, *table) for title, table in (*own, *evaluation_tables(found))]


def study_options_table(results: dict[str, Any]) -> PageTable:
    """Options of every method, which stand over those of the study's recipe."""
    rows = [
        [f"{task} / {method}", options_in_words(options)]
        for method, by_task in results["methods"].items()
        for task, options in by_task.items()
    ]
    seeds = ", ".join(map(str, results["seeds"]))
    return PageTable("Options", ["task / method", f"over those of recipe {results['recipe']}; seeds {seeds}"], rows)


def versions_table(runs: Sequence[RunRecord]) -> PageTable:
    """What the runs ran on."""
    names = dict.fromkeys(name for run in runs for name in run.versions)
    columns = ["", *(run.label for run in runs)] if len(runs) > 1 else ["", "version"]
    rows = [[name, *(run.versions.get(name) or "not installed" for run in runs)] for name in names]
    return PageTable("Versions", columns, rows)


def evaluation_settings(config: Mapping[str, Any], versions: Mapping[str, Any]) -> list[PageTable]:
    """Options and versions of an evaluation."""
    options = [[name, _option_text(value)] for name, value in sorted(config.items())]
    return [
        PageTable("Options", ["option", "value"], options),
        PageTable("Versions", ["", "version"], [[name, value or "not installed"] for name, value in versions.items()]),
    ]


def vocabulary_tables(findings: dict[str, Any], shown: int = 20) -> list[PageTable]:
    """The tokens of highest and lowest mean entropy."""
    ends = {"highest": "Least sure", "lowest": "Most sure"}
    return [
        PageTable(
            f"{ends[end]}: tokens of {end} mean entropy",
            ["token", "mean entropy, nats", "times"],
            [[row["token"], f"{row['mean_entropy']:.3f}", f"{row['count']:,}"] for row in rows[:shown]],
        )
        for end, rows in (findings.get("vocabulary") or {}).items()
    ]


def cell(found: Estimate, form: str = ".3f") -> str:
    """A number with its interval."""
    return estimate_text(found.to_json(), form, explained=False)


def _same_problems(first: RunRecord, other: RunRecord) -> bool:
    if first.after is None or other.after is None or first.after.problems != other.after.problems:
        return False
    return all(first.config.get(name) == other.config.get(name) for name in PROBLEMS)


def _option_text(value: Any) -> str:
    return "none" if value is None else str(value)
