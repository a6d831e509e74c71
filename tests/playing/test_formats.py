"""How an episode is told, and what counts as an action."""

import pytest

from htpo.environments import Observation
from htpo.errors import UserError
from htpo.playing.formats import PROMPT_FORMATS, prompt_format

SEEN = Observation("you are in the kitchen.", ("look", "open fridge 1"))


def test_every_turn_of_verl_agents_format_names_observation_and_admissible_actions():
    told = PROMPT_FORMATS["verl_agent"]
    for first in (True, False):
        text = told.shown(SEEN, first=first)
        assert "observation is: you are in the kitchen.\n" in text
        assert "[look, open fridge 1]" in text
        assert "<action> </action>" in text
        assert ("expert agent" in text) == first


def test_an_invalid_action_is_said_and_actions_that_cannot_be_listed_are_not():
    text = PROMPT_FORMATS["verl_agent"].shown(Observation("no", invalid=True), first=False)
    assert "none that is admissible" in text
    assert "actions are" not in text
    assert "none that is admissible" not in PROMPT_FORMATS["verl_agent"].shown(SEEN, first=False)


def test_turns_of_the_compact_format_follow_each_other_as_one_text():
    told = PROMPT_FORMATS["compact"]
    text = told.shown(SEEN, first=True) + " look" + told.shown(Observation("a table."), first=False)
    assert text == "you are in the kitchen. > look a table. >"


@pytest.mark.parametrize(
    ("written", "action"),
    [
        ("<think>the fridge</think><action>open fridge 1</action>", "open fridge 1"),
        ("<think><action>look</action>? no</think> <action> open\n fridge 1 </action>", "open fridge 1"),
        ("<action>look</action><action>open fridge 1</action>", "look"),
        ("<think>open fridge 1</think>", None),
        ("<action>open fridge 1", None),
        ("<action> </action>", None),
        ("<think>a <action>look</action></think>", None),
        ("", None),
    ],
)
def test_the_action_is_the_first_in_tags_after_the_reasoning(written, action):
    assert PROMPT_FORMATS["verl_agent"].action(written) == action


@pytest.mark.parametrize(
    ("written", "acting"),
    [
        ("<think>the fridge</think><action>open fridge 1</action>", "<action>open fridge 1</action>"),
        ("<think><action>look</action>? no</think> so <action>open</action>.", "<action>open</action>."),
        ("<think>a</think><think>b</think> look", " look"),
        ("<action>look</action><action>open</action>", "<action>look</action><action>open</action>"),
        ("so <action>open fridge 1", "<action>open fridge 1"),
        ("<think>a <action>look</action></think>", ""),
        ("<think>open fridge 1", None),
        ("", None),
    ],
)
def test_the_action_begins_at_its_tag_and_goes_on_to_the_end(written, acting):
    start = PROMPT_FORMATS["verl_agent"].action_start(written)
    assert (None if start is None else written[start:]) == acting
    found = PROMPT_FORMATS["verl_agent"].action(written)
    assert found is None if start is None else PROMPT_FORMATS["verl_agent"].action(written[start:]) == found
    assert PROMPT_FORMATS["compact"].action_start(written) == 0


@pytest.mark.parametrize(("written", "action"), [(" open  fridge\n1 ", "open fridge 1"), (" ", None), ("", None)])
def test_the_action_of_the_compact_format_is_all_of_the_turn(written, action):
    assert PROMPT_FORMATS["compact"].action(written) == action


def test_the_format_follows_from_the_chat_template_unless_it_is_named():
    assert prompt_format(None, has_chat_template=True) is PROMPT_FORMATS["verl_agent"]
    assert prompt_format(None, has_chat_template=False) is PROMPT_FORMATS["compact"]
    assert prompt_format("compact", has_chat_template=True) is PROMPT_FORMATS["compact"]
    with pytest.raises(UserError, match="prompt_format verl_agent needs a model with a chat template"):
        prompt_format("verl_agent", has_chat_template=False)
    with pytest.raises(UserError, match="prompt_format is 'react', needs one of verl_agent, compact"):
        prompt_format("react", has_chat_template=True)
