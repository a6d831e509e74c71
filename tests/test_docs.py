"""Links in README and docs lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page):
    assert not broken_links(page)


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A title: yes\n[a](other.md) [b](#a-title-yes) [c](#none) [d](https://example.org) ![e](e.png)")
    assert broken_links(page) == ["other.md", "#none", "e.png"]


def test_every_page_is_reached_from_the_readme():
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        links = [page.parent / link.partition("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
        found = {link.resolve() for link in links if link.suffix == ".md" and link.exists()}
        ahead += found - reached
    assert {page for page in PAGES if page.is_relative_to(ROOT / "docs")} <= reached


RECIPES = [path for folder in (".", "studies", "verl") for path in (ROOT / "htpo" / "recipes" / folder).glob("*.yaml")]


@pytest.mark.parametrize("recipe", sorted(RECIPES), ids=lambda recipe: recipe.stem)
def test_every_recipe_has_its_command_needs_expectation_and_sample_in_the_docs(recipe):
    pages = re.split(r"^##+ ", (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = [page for page in pages if page.split("\n", 1)[0] == recipe.stem]
    assert "```bash\n" in section
    assert re.findall(r"^- \*\*(\w+)\*\*", section, re.MULTILINE) == ["For", "Needs", "Expect", "Sample"]
