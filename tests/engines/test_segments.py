"""Which ids of an episode think and which act, whatever characters the ids hold."""

import random
from itertools import accumulate

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from htpo.engines.segments import segments
from htpo.environments import Episode
from htpo.objectives.batch import ACTION, THINKING
from htpo.playing.formats import PROMPT_FORMATS
from htpo.playing.player import EpisodeRow, Turn
from htpo.playing.turn_tokens import TurnTokens

END = "<|end|>"
TEXTS = [
    "<think>the fridge</think><action>open fridge 1</action>",
    "<think>naïve 😀 — 冰箱</think><action>打开 冰箱</action>",
    "冰<action>😀</action>",
    "<think>a</think>😀 open",
    "<think>a</think>",
    "no tags 😀",
    "<action>look</action>",
    "",
]


@pytest.fixture(scope="module")
def tokenizer():
    """Ids of bytes, and of pieces that span the tags' borders."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=[END], initial_alphabet=alphabet)
    made.train_from_iterator(["</think><action>", "a<action>open", "<think>the"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END)


def bytes_of(ids, tokenizer):
    """How many bytes each id holds; a letter of a byte-level piece is one."""
    return [0 if i == tokenizer.eos_token_id else len(tokenizer.convert_ids_to_tokens(i)) for i in ids]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("bytewise", [False, True])
def test_an_id_acts_when_its_last_byte_is_of_the_action(tokenizer, text, ends, bytewise):
    told = PROMPT_FORMATS["verl_agent"]
    turns = TurnTokens(told, tokenizer)
    ids = tokenizer(text)["input_ids"]
    if bytewise:
        ids = [tokenizer.convert_tokens_to_ids(byte) for i in ids for byte in tokenizer.convert_ids_to_tokens(i)]
    ids += [tokenizer.eos_token_id] * ends
    assert turns.written(ids) == text
    start = told.action_start(text)
    border = len(text if start is None else text[:start].encode())
    reached = [i for i, end in enumerate(accumulate(bytes_of(ids, tokenizer))) if end > border]
    assert turns.before_action(ids) == (reached[0] if reached and start is not None else len(ids))
    assert TurnTokens(PROMPT_FORMATS["compact"], tokenizer).before_action(ids) == 0


def test_ids_that_are_no_text_are_told_apart_too(tokenizer):
    """What a policy samples need not be what a tokenizer writes, or even UTF-8."""
    turns = TurnTokens(PROMPT_FORMATS["verl_agent"], tokenizer)
    rng = random.Random(0)
    action = tokenizer("<action>open</action>")["input_ids"]
    for _ in range(200):
        noise = [rng.randrange(1, 257) for _ in range(rng.randrange(12))]
        if "<" in turns.written(noise):
            continue
        assert turns.before_action(noise + action) == len(noise), turns.written(noise + action)


def test_a_row_has_the_segments_of_its_turns_and_none_where_it_was_shown_something(tokenizer):
    turns = TurnTokens(PROMPT_FORMATS["verl_agent"], tokenizer)
    row = EpisodeRow(Episode.__new__(Episode), [5])
    thinking, action = (tokenizer(text)["input_ids"] for text in ("<think>a</think> ", "<action>b</action>"))
    row.take(Turn(thinking + action))
    row.show([7, 7])
    row.take(Turn([]))
    row.show([])
    row.take(Turn(action))
    row.show([8])
    expected = [THINKING] * len(thinking) + [ACTION] * len(action) + [0, 0] + [ACTION] * len(action) + [0]
    assert segments(row, turns) == expected
    assert [number > 0 for number in expected] == row.sampled
    compact = TurnTokens(PROMPT_FORMATS["compact"], tokenizer)
    assert segments(row, compact) == [ACTION if number else 0 for number in expected]


def test_a_row_that_was_never_played_has_no_segment(tokenizer):
    row = EpisodeRow(Episode.__new__(Episode), [5])
    row.show([1])
    assert segments(row, TurnTokens(PROMPT_FORMATS["verl_agent"], tokenizer)) == [0]
