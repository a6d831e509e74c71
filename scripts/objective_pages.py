"""Writes `docs/objectives/NAME.md` and the tables of `docs/objectives.md`: `python scripts/objective_pages.py`.

What they say comes from the objectives' own code, from `docs/metrics.md`, and from the studies in `docs/results`.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from htpo.cli.train import read_recipe
from htpo.objectives import (
    DESCRIPTIONS,
    OBJECTIVES,
    TableObjective,
    TokenBatch,
    fixed_length_mean,
    make_objective,
    objective_options,
    option_meanings,
    sequence_mean,
    token_mean,
)
from htpo.objectives.axes import AXES, name_of
from htpo.objectives.rules import RULES, RULES_IN_WORDS
from htpo.runs import ObjectiveTable
from htpo.statistics import estimate_text

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = "made by `python scripts/objective_pages.py`"
SYMBOLS = {
    r"\br\b": "`r` is the token's probability under the policy, divided by that under the policy that sampled it",
    r"\bpi\b": "`pi` is the token's probability under the policy",
    r"\bsg\b": "`sg[...]` is taken as a number, without gradient",
    r"r < low|r, low": "`low` and `high` are the ends of the clip range",
}
AGGREGATION = {
    token_mean: "the mean of `J` over all tokens of the update, so that a long answer counts more than a short one",
    sequence_mean: "the mean over answers of each answer's mean of `J`, so that every answer counts the same",
    fixed_length_mean: "the sum of `J`, divided by the number of answers times the length limit, so that a token "
    "counts the same in answers of any length",
}
ONE_TOKEN = TokenBatch(
    log_prob=torch.zeros(1, 1),
    old_log_prob=torch.zeros(1, 1),
    advantage=torch.zeros(1),
    entropy=torch.zeros(1, 1),
    mask=torch.ones(1, 1, dtype=torch.bool),
    correct=torch.ones(1, dtype=torch.bool),
    group_accuracy=torch.ones(1),
)


def pages() -> dict[Path, str]:
    """Every file that this script writes, and its content."""
    return {DOCS / "objectives.md": overview()} | {DOCS / f"objectives/{name}.md": page(name) for name in OBJECTIVES}


def page(name: str) -> str:
    """The page of an objective."""
    said, objective = DESCRIPTIONS[name], make_objective(name)
    seen_from = [f"[`{other}`]({other}.md)" for other in OBJECTIVES if name in DESCRIPTIONS[other].differs]
    parts = [
        f"<!-- {MADE} from htpo/objectives -->",
        f"# {said.source.partition(', ')[0]}: `{name}`",
        f"```bash\nhtpo train --objective {name}\n```",
        said.summary,
        said.details,
        f"Source: {_linked(said.source)}. [All objectives](../objectives.md).",
        "## What a token optimises",
        *_equation(objective, said.equation),
        "## With it",
        _settings(objective),
        "## Options",
        _options(name),
        "## How it differs",
        _bullets(f"**From [`{other}`]({other}.md)**: {text}" for other, text in said.differs.items()),
        f"Pages that compare with it: {', '.join(seen_from)}." if seen_from else "",
        "## What it logs",
        *_logged(objective),
        "## What it scored here",
        *_scores(name),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def overview() -> str:
    """`docs/objectives.md` with its tables made anew."""
    text = (DOCS / "objectives.md").read_text(encoding="utf-8")
    for what, table in {"objectives": _all_objectives(), "axes": _all_axes(), "rules": _all_rules()}.items():
        start, end = f"<!-- {what}: {MADE} -->\n", f"\n<!-- end of {what} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}{table}{end}{rest.partition(end)[2]}"
    return text


# --- parts of a page -----------------------------------------------------------------------------------------------


def _equation(objective: TableObjective, equation: str) -> Iterator[str]:
    yield "```text\n" + equation.replace("`", "").replace("; ", "\n") + "\n```"
    formulas = {}
    if objective.axes:
        table = ObjectiveTable.from_json(objective.describe())
        formulas = {group.rule: _said(RULES[group.rule]) for group in table.groups}
        yield "Groups are told apart by:"
        for axis in objective.axes:
            set_to = "".join(f"; {option} {value}" for option, value in vars(axis).items())
            yield f"- `{name_of(axis)}` ({', '.join(axis.levels)}{set_to}): {_said(type(axis))}."
        rows = [[table.tokens_of(group), f"`{group.rule}`", group.plain_words] for group in table.groups]
        yield _table(["tokens", "rule", "in words"], rows)
        yield _bullets(f"`{rule}`: {formula}." for rule, formula in formulas.items())
    shown = " ".join([equation, *formulas.values()])
    scaled = ", divided by their standard deviation" if objective.scale_rewards == "group" else ""
    advantage = f"`A` is the answer's reward minus the mean over the answers to the same problem{scaled}"
    legend = [text for symbol, text in SYMBOLS.items() if re.search(symbol, shown)]
    yield f"{'; '.join([*legend, advantage])}."


def _settings(objective: TableObjective) -> str:
    sampling = "no; `--dynamic_sampling true` switches it on"
    if objective.dynamic_sampling:
        sampling = "yes. Problems whose answers all got the same reward teach nothing and are replaced by others; "
        sampling += "`--dynamic_sampling false` switches it off"
    punishment = "no"
    if objective.overlong_shaping:
        punishment = (
            "yes. The reward falls over the last fifth of the length limit; `--overlong_buffer 0` switches it off"
        )
    items = {
        f"Aggregation (`{objective.aggregate.__name__}`)": AGGREGATION[objective.aggregate],
        "Dynamic sampling": sampling,
        "Soft overlong punishment": punishment,
    }
    if objective.takes_batch_quantiles:
        items["Looks at the whole update"] = (
            "one more forward pass where an update is cut into micro-batches or over processes"
        )
    return _bullets(f"**{what}**: {text}." for what, text in items.items())


def _options(name: str) -> str:
    meanings = option_meanings(name)
    rows = [[f"`{option}`", _value(default), meanings[option]] for option, default in objective_options(name).items()]
    return _table(["option", "default", "meaning"], rows) if rows else "None."


def _logged(objective: TableObjective) -> Iterator[str]:
    """The statistics that the objective hands out, as `docs/metrics.md` explains them."""
    yield "Besides what every run logs ([metrics.md](../metrics.md)):"
    names = {re.sub("^group/G[0-9]+/", "group/Gk/", key) for key in objective(ONE_TOKEN).stats}
    lines = (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines()
    known = [line.strip("| ").split(" | ", 1) for line in lines if line.startswith("| `")]
    yield _table(["name", "meaning"], [row for row in known if names & set(re.findall("`([^`]+)`", row[0]))])
    if objective.axes:
        labels = ObjectiveTable.from_json(objective.describe()).labels.values()
        yield f"Its groups (k) are {', '.join(labels)}."


def _scores(name: str) -> Iterator[str]:
    """What the studies in `docs/results` found."""
    studies = {file.parent.name: json.loads(file.read_text()) for file in sorted(DOCS.glob("results/*/results.json"))}
    tables = [part for study, results in studies.items() for part in _of_study(name, study, results)]
    if not tables:
        yield "Not measured here."
        return
    text = (DOCS / "results" / "README.md").read_text(encoding="utf-8")
    (day_and_machine,) = re.findall(r"^\d+ \w+ \d{4}, [^;]+", text, re.MULTILINE)
    yield (
        f"Measured {' '.join(day_and_machine.split())}. Numbers are means over seeds with 95 % intervals, as the "
        "version of that day computed them ([some would be narrower today](../statistics.md)). Differences are paired "
        "by seed; p is after Holm's correction over all comparisons of a study. [What these studies say, and what they "
        "do not](../results/README.md)."
    )
    yield from tables


def _of_study(name: str, study: str, results: dict[str, Any]) -> Iterator[str]:
    """A table of the objective's methods for every task of a study."""
    for task, found in results["tasks"].items():
        ks = [found["k"][0], found["k"][-1]]
        rows = []
        for method, of_method in found["methods"].items():
            options = results["methods"][method][task]
            if options.get("objective", "htpo") == name:
                telling = {*objective_options(name), "entropy_of", "learning_rate"}
                shown = [option for option in options if option in telling]
                pair = (method, results["reference"])
                pairs = {row["k"]: row for row in found["comparisons"] if (row["method"], row["against"]) == pair}
                row = [method, ", ".join(f"{option} {options[option]}" for option in shown)]
                row += [_estimate(of_method["pass_at_k"][str(k)]) for k in ks]
                rows.append(row + [_difference(pairs[k]) if k in pairs else "" for k in ks])
        if rows:
            before = ", ".join(f"pass@{k} {_estimate(found['before'][str(k)])}" for k in ks)
            steps = (read_recipe(results["recipe"]) | options)["max_steps"]
            yield (
                f"[{study}](../results/{study}/results.md), {task}: {steps} updates on "
                f"{options['dataset']}, seeds {', '.join(map(str, results['seeds']))}, measured on {found['problems']} "
                f"held-out problems x {found['samples']} samples per seed. Before training: {before}."
            )
            heads = [*(f"pass@{k}" for k in ks), *(f"pass@{k} minus {results['reference']}'s" for k in ks)]
            yield _table(["method", "options", *heads], rows)


def _difference(row: dict[str, Any]) -> str:
    return _estimate(row, "+.3f") + ("" if row["holm"] is None else f", p {row['holm']:.2f}")


def _estimate(found: dict[str, Any], form: str = ".3f") -> str:
    value = found["value"] if "value" in found else found["mean"]  # as earlier versions called it
    return estimate_text({"why": "", **found, "value": value}, form, explained=False)


# --- the tables of all ---------------------------------------------------------------------------------------------


def _all_objectives() -> str:
    rows = []
    for name, said in DESCRIPTIONS.items():
        objective = make_objective(name)
        extras = {
            "dynamic sampling": objective.dynamic_sampling,
            "overlong punishment": objective.overlong_shaping,
            "advantages not divided by the standard deviation": objective.scale_rewards == "none",
        }
        with_it = ", ".join(extra for extra, there in extras.items() if there)
        aggregation = objective.aggregate.__name__.replace("_", " ")
        rows.append([f"[`{name}`](objectives/{name}.md)", _linked(said.source), said.equation, aggregation, with_it])
    return _table(["name", "source", "what a token optimises", "aggregation", "with it"], rows)


def _all_axes() -> str:
    own = {name: axis for name, axis in AXES.items() if axis.__module__.startswith("htpo.")}
    rows = [[f"`{name}`", ", ".join(axis.levels), _said(axis), _parameters(axis)] for name, axis in own.items()]
    return _table(["axis", "levels", "what they mean", "options"], rows)


def _all_rules() -> str:
    own = {name: rule for name, rule in RULES.items() if rule.__module__.startswith("htpo.")}
    rows = [[f"`{name}`", RULES_IN_WORDS[name], _said(rule), _parameters(rule)] for name, rule in own.items()]
    return _table(["rule", "in words", "as a formula", "options"], rows)


# --- text ----------------------------------------------------------------------------------------------------------


def _parameters(thing: Callable[..., Any]) -> str:
    """The options of an axis or a rule, with their defaults."""
    found = [p for p in inspect.signature(thing).parameters.values() if p.name != "ratio"]
    return ", ".join(f"`{p.name}`" + (f" {_value(p.default)}" if p.default is not p.empty else "") for p in found)


def _said(thing: object) -> str:
    """The first paragraph of a docstring, without the full stop."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split()).removesuffix(".")


def _value(value: object) -> str:
    return "none" if value is None else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _linked(source: str) -> str:
    return re.sub(r"\d{4}\.\d{5}", r"[\g<0>](https://arxiv.org/abs/\g<0>)", source)


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the files."""
    (DOCS / "objectives").mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
