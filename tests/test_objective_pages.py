"""The pages of the objectives say what the code says."""

import re

import pytest

from htpo.objectives import DESCRIPTIONS, OBJECTIVES, make_objective, objective_options
from scripts.objective_pages import DOCS, ONE_TOKEN, page, pages

REMEDY = "out of date: run python scripts/objective_pages.py"


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_page_is_what_the_command_writes(path):
    assert path.is_file(), f"{path.name} is missing: run python scripts/objective_pages.py"
    assert path.read_text(encoding="utf-8") == pages()[path], REMEDY


def test_there_is_a_page_per_objective_and_no_other():
    assert {path.stem for path in (DOCS / "objectives").iterdir()} == set(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_page_shows_usage_first_and_then_everything_of_its_objective(name):
    text = page(name)
    said = DESCRIPTIONS[name]
    assert re.search(rf"^# .*\n\n```bash\nhtpo train --objective {name}\n", text, re.MULTILINE)
    assert said.summary in text
    assert said.differs
    assert all(f"({other}.md)**: {difference}" in text for other, difference in said.differs.items())
    assert set(said.differs) < set(OBJECTIVES)
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", text.partition("## How it")[0], re.MULTILINE))
    assert all(rows[option] for option in objective_options(name))
    logged = {f"`{re.sub('G[0-9]+', 'Gk', key)}`" for key in make_objective(name)(ONE_TOKEN).stats}
    assert {key for key in logged if key not in text} == {"`nonfinite_tokens`"}  # training stops at one


OF_HTPO = {"household_methods", "number_path", "number_path_eight", "number_path_groups", "number_path_entropy_of"}


@pytest.mark.parametrize(
    ("name", "studies", "found"),
    [
        ("htpo", OF_HTPO, "0.623 (0.576 to 0.667)"),
        ("grpo", {"household_methods", "number_path", "number_path_eight"}, "-0.042 (-0.072 to -0.011), p 0.61"),
    ],
)
def test_a_page_says_what_was_measured_and_where(name, studies, found):
    scores = page(name).partition("## What it scored here")[2]
    assert set(re.findall(r"results/(\w+)/results.md", scores)) == studies
    assert "seeds 0, 1, 2" in scores
    assert found in scores


def test_an_objective_that_no_study_measured_says_so():
    assert page("sapo").rstrip().endswith("Not measured here.")
