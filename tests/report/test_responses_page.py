"""What a model wrote is text on the page of responses, and nothing else."""

from htpo.report.responses_page import responses_page
from tests.analysis.hostile_tokens import HOSTILE, hostile_tokens
from tests.report.test_analysis_folder import Page


def test_text_of_the_model_is_never_markup():
    page = Page(responses_page(hostile_tokens(), "<b>title</b>"))
    assert page.tags.count("script") == 1  # the page's own
    assert not {"img"} & set(page.tags)
    assert not any(name.startswith("on") for attributes in page.attributes for name in attributes)
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[4], '<img src=x onerror="y">', "<b>title</b>"):
        assert text in page.text
