"""Scores of texts equal those of one forward pass, whatever the chunks."""

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.analysis.scoring import score_texts, score_tokens
from htpo.analysis.texts import read_samples
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, collect
from tests.analysis.word_model import CHAT, save_word_model
from tests.evaluate.test_episodes import environment, tiny

ROW = {"prompt": "What is the sum?", "response": " Hence the sum equals ten.", "correct": True, "group_accuracy": 0.5}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_word_model(tmp_path_factory.mktemp("words"), CHAT)


@pytest.mark.parametrize("chunk", [1, 3, 7, 512])
@pytest.mark.parametrize("prompt_length", [1, 6, 7])
def test_chunks_give_what_one_pass_gives(model, chunk, prompt_length):
    network = AutoModelForCausalLM.from_pretrained(model)
    ids = torch.randint(1, 300, (20,), generator=torch.Generator().manual_seed(0)).tolist()
    log_prob, entropy = score_tokens(network, ids[:prompt_length], ids[prompt_length:], 0.7, chunk)
    with torch.no_grad():
        expected = (network(torch.tensor([ids])).logits[0, prompt_length - 1 : -1] / 0.7).log_softmax(-1)
    assert torch.allclose(log_prob, expected.gather(1, torch.tensor(ids[prompt_length:])[:, None])[:, 0], atol=1e-4)
    assert torch.allclose(entropy, -(expected.exp() * expected).sum(-1), atol=1e-4)


def test_a_row_has_a_score_for_every_token_and_joins_to_its_text(model):
    (row,) = score_texts([ROW], model, 1.0).to_pylist()
    assert "".join(row["tokens"]) == ROW["response"]
    assert len(row["entropy"]) == len(row["log_prob"]) == len(row["tokens"]) == len(row["token_ids"])
    assert row["correct"] is True


def test_chat_messages_go_through_the_template(model):
    chat = ROW | {"prompt": [{"role": "user", "content": "What is the sum?"}]}
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model)
    prompt = tokenizer("<|user|>What is the sum?<|assistant|>")["input_ids"]
    expected, _ = score_tokens(network, prompt, tokenizer(ROW["response"])["input_ids"], 1.0)
    (row,) = score_texts([chat], model, 1.0).to_pylist()
    assert row["log_prob"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert row["prompt"] == "user: What is the sum?"


def test_a_prompt_that_holds_its_first_token_gets_no_second(tmp_path):
    folder = save_word_model(tmp_path / "words")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.bos_token = "<eos>"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<eos> $A", special_tokens=[("<eos>", 0)])
    tokenizer.save_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder)(text=ROW["prompt"])["input_ids"][0] == 0
    bare, held = score_texts([ROW, ROW | {"prompt": "<eos>" + ROW["prompt"]}], folder, 1.0).to_pylist()
    assert held["log_prob"] == bare["log_prob"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW | {"response": " equals" * 600}, "row 1 is too long"),
        (ROW | {"prompt": ""}, "row 1: an empty prompt"),
    ],
)
def test_a_text_that_the_model_cannot_read_is_refused(model, row, message):
    with pytest.raises(UserError, match=message):
        score_texts([row], model, 1.0)


def test_a_model_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="cannot load a model from '/none': there is no such folder"):
        score_texts([ROW], "/none", 1.0)


def of_turn(model, row, number):
    """Log-probabilities of a turn's tokens after the turns that had not left."""
    shown = range(row.forgotten[number], number)
    before = row.prompt + [each for place in shown for each in row.turns[place].ids + row.shown[place]]
    return score_tokens(model, before, row.turns[number].ids, 1.0)[0].tolist()


@pytest.mark.parametrize("history", [None, 1])
def test_turns_of_a_stored_episode_are_scored_after_exactly_what_they_were_sampled_after(word_model, tmp_path, history):
    problems = environment("household", "compact", 2, max_turn_length=6, max_turns=4, history_length=history)
    generator, played = tiny(word_model, max_tokens=300), []
    play = generator.play
    generator.play = lambda *asked: (played.extend(each) or each for each in play(*asked))
    evaluation = EvaluationDirectory(tmp_path / "run")
    evaluation.begin({"model": word_model, "samples": 2, "backend": "transformers"}, [problems])
    collect(problems, generator, evaluation.store(problems.name), 2)
    rows = read_samples(evaluation, problems.name)
    scored = score_texts(rows, word_model, 1.0).to_pylist()
    by_response = {row["response"]: row for row in scored}
    assert len(by_response) == len(played) == 4
    compared, tokenizer = 0, generator.tokenizer
    for one in played:
        row = by_response["".join(one.turns.written(turn.ids) for turn in one.row.turns)]
        sampled = [
            (token, value)
            for number, turn in enumerate(one.row.turns)
            for token, value in zip(turn.ids, of_turn(generator.model, one.row, number))
        ]
        kept = [(token, value) for token, value in sampled if token not in tokenizer.all_special_ids]
        assert row["token_ids"] == [token for token, _ in kept]
        assert sum(row["turn_tokens"]) == len(kept)
        assert row["actions"] == list(one.row.episode.actions)
        if not {token for token, _ in sampled} & {tokenizer.pad_token_id, tokenizer.unk_token_id}:
            assert row["log_prob"] == pytest.approx([value for _, value in kept], abs=1e-4)
            compared += any(one.row.forgotten if history else (1 in turn.ids for turn in one.row.turns))
    assert compared, "one with a turn that was ended or had left, and with no token that leaves no text"
