"""Episodes go on from what the model has read of them."""

import random

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GenerationConfig,
)

from htpo.evaluate.generators.sampling import sample_batch
from htpo.evaluate.generators.turn_sampler import TurnSampler

ENDS = [1, *range(20, 28)]  # many, so that turns end at different places
GREEDY = GenerationConfig(do_sample=False, max_new_tokens=7, pad_token_id=0, eos_token_id=ENDS)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def qwen(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


@pytest.fixture(scope="module")
def gemma(tokenizer):
    """Every other layer sees the last five tokens alone."""
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=64,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention"],
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    return Gemma3ForCausalLM(config).eval()


class Read:
    """Counts the places that a model reads."""

    def __init__(self, model):
        self.places = 0
        self.handle = model.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, module, args, kwargs):
        self.places += kwargs["input_ids"].numel()


def play(sample, prompts, turns=5, seed=0):
    """Contexts and turns: what is shown differs in length, and the fourth call has lost two sequences."""
    rng = random.Random(seed)
    contexts, played = [list(prompt) for prompt in prompts], []
    for number in range(turns):
        if number == 3:
            del contexts[1], contexts[-1]
        new = [turn.ids for turn in sample([list(context) for context in contexts])]
        played.append((contexts, new))
        contexts = [
            context + turn + rng.choices(range(28, 40), k=rng.randrange(1, 10))
            for context, turn in zip(contexts, new, strict=True)
        ]
    return played


PROMPTS = [[5, 6, 7], [9] * 12, [30], [8, 4, 8, 4, 8], [5, 6, 7]]


@pytest.mark.parametrize("name", ["qwen", "gemma"])
def test_every_turn_is_what_the_model_says_after_the_whole_context(name, request, tokenizer):
    model = request.getfixturevalue(name)
    with torch.no_grad():
        played = play(TurnSampler(model, GREEDY), PROMPTS)
    lengths = set()
    for contexts, turns in played:
        for context, turn in zip(contexts, turns, strict=True):
            assert turn == sample_batch(model, tokenizer, [context], GREEDY)[0]
            lengths.add(len(turn))
    assert len(lengths) > 1, "turns that end at different places"


def test_what_was_read_is_not_read_again(qwen):
    read = Read(qwen)
    with torch.no_grad():
        played = play(TurnSampler(qwen, GREEDY), PROMPTS)
        whole = sum(max(map(len, contexts)) * len(contexts) for contexts, _ in played)
        once = read.places
        read.places = 0
        for contexts, _ in played:
            TurnSampler(qwen, GREEDY)(contexts)
    read.handle.remove()
    assert once < read.places / 2
    assert read.places > whole


def test_other_sequences_are_read_from_their_beginning(qwen, tokenizer):
    sampler = TurnSampler(qwen, GREEDY)
    with torch.no_grad():
        sampler([[5, 6, 7], [8]])
        (turn,) = sampler([[20, 21]])
    assert turn.ids == sample_batch(qwen, tokenizer, [[20, 21]], GREEDY)[0]


def test_nothing_is_kept_of_sequences_that_are_gone_nor_of_padding(qwen, tokenizer):
    sampler = TurnSampler(qwen, GREEDY)
    with torch.no_grad():
        short, _ = sampler([[5], [7] * 40])
        context = [5, *short.ids, 9]
        (turn,) = sampler([context])
    assert turn.ids == sample_batch(qwen, tokenizer, [context], GREEDY)[0]
    assert sampler._cache.get_seq_length() <= len(context) + len(turn.ids)


def test_sequences_that_are_alike_may_change_places(qwen, tokenizer):
    settings = GenerationConfig(do_sample=True, max_new_tokens=7, pad_token_id=0, eos_token_id=ENDS, top_k=0)
    torch.manual_seed(0)
    sampler = TurnSampler(qwen, settings)
    with torch.no_grad():
        turns = sampler([[5, 6, 7]] * 4)
        sampler.settings = GREEDY
        contexts = [[5, 6, 7, *turn.ids, 11] for turn in turns][1:]
        again = sampler(contexts)
    assert len({tuple(context) for context in contexts}) == 3
    assert [turn.ids for turn in again] == [sample_batch(qwen, tokenizer, [c], GREEDY)[0] for c in contexts]


def test_what_was_read_of_a_sequence_that_lost_its_beginning_is_not_kept(qwen, tokenizer):
    sampler, first = TurnSampler(qwen, GREEDY), [[5, 6, 7], [9] * 12]
    with torch.no_grad():
        (one, other) = (turn.ids for turn in sampler([list(prompt) for prompt in first]))
        long = [first[0] + one + [30] * 3, first[1] + other + [31] * 4]
        (one_more, other_more) = (turn.ids for turn in sampler(long))
        # the first has lost its first turn, the second goes on from all before
        contexts = [first[0] + one_more + [40, 33, 12], long[1] + other_more + [33]]
        turns = [turn.ids for turn in sampler(contexts)]
        assert turns == [sample_batch(qwen, tokenizer, [context], GREEDY)[0] for context in contexts]
        whole = sample_batch(qwen, tokenizer, [long[0] + one_more + [40, 33, 12]], GREEDY)[0]
        assert turns[0] != whole, "else it makes no difference here what is kept"


def test_a_sequence_that_lost_its_beginning_is_read_anew_alone(qwen, tokenizer):
    sampler, contexts = TurnSampler(qwen, GREEDY), [[5, 6, 7] * 20, [9] * 60, [8, 4] * 30]
    read = Read(qwen)
    with torch.no_grad():
        for number in range(4):
            turns = [turn.ids for turn in sampler([list(context) for context in contexts])]
            read.handle.remove()
            assert turns == [sample_batch(qwen, tokenizer, [context], GREEDY)[0] for context in contexts]
            contexts = [context + turn + [30 + number] for context, turn in zip(contexts, turns, strict=True)]
            contexts[1] = [*contexts[1][:20], *contexts[1][-20 + 4 * number :]]
            if number:
                assert read.places < 100, "not all three, of sixty and more ids"
            read = Read(qwen)
