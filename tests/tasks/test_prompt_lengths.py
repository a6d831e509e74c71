"""Prompts longer than a limit."""

import pytest
from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.prompt_lengths import limit_prompt_lengths
from htpo.tasks.task import Task


class WordTokenizer:
    """Counts words; a chat costs two more for each message and one for the turn to answer."""

    def __init__(self, chat_template=None):
        self.chat_template = chat_template

    def __call__(self, text):
        return {"input_ids": [prompt.split() for prompt in text]}

    def apply_chat_template(self, chats, add_generation_prompt, tokenize, return_dict, turn="<assistant>"):
        assert add_generation_prompt
        assert tokenize
        assert return_dict
        texts = [" ".join(f"<{m['role']}> {m['content']} </>" for m in chat) + f" {turn}" for chat in chats]
        return self(texts)


def task_of(prompts, held_out=None):
    def rows(prompts):
        return Dataset.from_list([{"prompt": prompt, "answer": "1", "row": 10 + n} for n, prompt in enumerate(prompts)])

    return Task("words", rows(prompts), rows(held_out) if held_out else None, None, "words")


def test_prompts_of_just_the_allowed_length_pass():
    limit_prompt_lengths(task_of(["a b c"] * 2001, ["a b c"]), WordTokenizer(), 3)


def test_too_long_prompts_are_counted_and_the_longest_is_named():
    prompts = ["a b c"] * 1500 + ["a b c d", "a b c d e"] + ["a"] * 100
    with pytest.raises(UserError) as caught:
        limit_prompt_lengths(task_of(prompts), WordTokenizer(), 3)
    assert str(caught.value) == (
        "2 of 1602 training prompts of words are longer than 3 tokens, the longest has 5 (row 1511): "
        "raise --max_prompt_length, remove them, or leave them out by --filter_overlong_prompts"
    )


def test_held_out_prompts_are_measured_too():
    with pytest.raises(UserError, match=r"1 of 1 held-out prompts .* the longest has 4 \(row 10\)"):
        limit_prompt_lengths(task_of(["a"], ["a b c d"]), WordTokenizer(), 3)


def test_too_long_prompts_are_left_out_and_counted_where_asked_for():
    task = task_of(["a b c d", "a b", "a b c"], ["a b c d e", "a"])
    kept = limit_prompt_lengths(task, WordTokenizer(), 3, leave_out=True)
    assert kept.train["row"] == [11, 12]
    assert kept.held_out["row"] == [11]
    assert kept.description == (
        "words; left out as longer than 3 tokens: 1 of 3 training prompts, 1 of 2 held-out prompts"
    )
    assert limit_prompt_lengths(task, WordTokenizer(), 5, leave_out=True) is task


def test_leaving_out_every_prompt_is_refused():
    with pytest.raises(UserError, match="2 of 2 training prompts .* none would be left: raise --max_prompt_length"):
        limit_prompt_lengths(task_of(["a b", "a b c"]), WordTokenizer(), 1, leave_out=True)


def test_chats_are_counted_with_their_template_and_the_turn_to_answer():
    chat = [{"role": "user", "content": "a b c"}]
    limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 6)
    limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 7, {"turn": "<assistant> <think>"})
    with pytest.raises(UserError, match="the longest has 7"):
        limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 6, {"turn": "<assistant> <think>"})
    with pytest.raises(UserError, match="the longest has 6"):
        limit_prompt_lengths(task_of([chat]), WordTokenizer("template"), 5)


def test_chats_for_a_tokenizer_without_template_are_refused():
    with pytest.raises(UserError, match="no chat template"):
        limit_prompt_lengths(task_of([[{"role": "user", "content": "a"}]]), WordTokenizer(), 5)


def test_a_real_tokenizer_counts_as_it_encodes():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1, "<user>": 2, "<assistant>": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    turn = "{% if add_generation_prompt %}<assistant>{% endif %}"
    template = "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}" + turn
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", chat_template=template)
    for prompt, length in (("a a a", 3), ([{"role": "user", "content": "a a a"}], 5)):
        limit_prompt_lengths(task_of([prompt, prompt]), tokenizer, length)
        with pytest.raises(UserError, match=f"2 of 2 training prompts .* the longest has {length} "):
            limit_prompt_lengths(task_of([prompt, prompt]), tokenizer, length - 1)
