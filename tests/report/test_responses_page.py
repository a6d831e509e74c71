"""What a model wrote is text on the page of responses, and nothing else."""

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import build
from htpo.report.responses_page import responses_page
from tests.analysis.hostile_tokens import HOSTILE, hostile_tokens
from tests.analysis.test_tokens import rollouts
from tests.report.test_analysis_folder import Page


def test_text_of_the_model_is_never_markup():
    page = Page(responses_page(hostile_tokens(), "<b>title</b>"))
    assert page.tags.count("script") == 1  # the page's own
    assert not {"img"} & set(page.tags)
    assert not any(name.startswith("on") for attributes in page.attributes for name in attributes)
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[4], '<img src=x onerror="y">', "<b>title</b>"):
        assert text in page.text


def test_an_episode_is_shown_turn_by_turn_and_its_text_is_never_markup():
    evil = "<img src=x onerror='y'>"
    columns = rollouts([[0.1, 0.2, 0.3]], correct=[False]).append_column("turn_tokens", [[[1, 2]]])
    for name, value in {
        "task_type": evil,
        "score": 0.25,
        "actions": [None, evil],
        "invalid": [True, False],
        "shown": [evil],
    }.items():
        columns = columns.append_column(name, [[value]])
    page = Page(responses_page(TokenAnalysis(build(columns, {}), read_logic_words(), min_count=1), "episodes"))
    assert "img" not in page.tags
    text = " ".join(page.text.split())
    assert f"{evil}: no success, score 0.25, turns 2, invalid actions 1" in text
    order = [
        text.index(part)
        for part in ("Turn 1", "w0", "no action found invalid", "Turn 2", "w1", "w2", "action: " + evil)
    ]
    assert order == sorted(order)
    assert text.index("no action found") < text.rindex(evil, 0, text.index("Turn 2")) < text.index("Turn 2")


def test_an_answer_that_is_no_episode_has_no_turns():
    assert "Turn 1" not in Page(responses_page(hostile_tokens(), "title")).text
