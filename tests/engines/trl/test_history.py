"""Training on episodes whose oldest turns leave what the policy is shown."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.engines.trl.context_rows import ContextRows, history_places
from htpo.environments import EnvironmentWorkers
from htpo.playing.verdicts import EpisodeVerifier
from tests.engines.trl.test_playing import train


@pytest.fixture(scope="module")
def worlds():
    with EnvironmentWorkers("tests.engines.trl.worlds:EvenLength", workers=1) as workers:
        yield workers


def alone(model, row):
    """Log-probability and entropy of each sampled token, each turn scored by itself after what it was sampled after."""
    for number, turn in enumerate(row.turns):
        pairs = zip(row.turns[row.forgotten[number] : number], row.shown[row.forgotten[number] : number], strict=True)
        context = row.prompt + [each for earlier, shown in pairs for each in (*earlier.ids, *shown)]
        logits = model(torch.tensor([context + turn.ids])).logits[0, len(context) - 1 : -1].log_softmax(-1)
        entropies = -(logits.exp() * logits).sum(-1)
        yield from zip(logits[range(len(turn.ids)), turn.ids].tolist(), entropies.tolist(), strict=True)


@pytest.mark.parametrize("history_length", [1, 2])
@pytest.mark.parametrize("entropy_of", ["current", "old"])
def test_every_token_is_scored_after_what_it_was_sampled_after(
    tiny_model, tmp_path, worlds, history_length, entropy_of
):
    options = {"updates_per_generation": 2, "max_steps": 2, "per_device_train_batch_size": 4, "entropy_of": entropy_of}
    _, played, seen = train(tiny_model, tmp_path, worlds, history_length=history_length, **options)
    assert {tuple(row.forgotten) for row in played} == {(0, 0, 1) if history_length == 1 else (0, 0, 0)}
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    known = {tuple(row.response): row for row in played}
    for step, (inputs, batch) in enumerate(seen):
        for index, mask in enumerate(batch.mask):
            real = inputs["completion_mask"][index].bool()
            row = known[tuple(inputs["completion_ids"][index][real].tolist())]
            assert mask[real].tolist() == row.sampled
            log_prob, entropy = zip(*alone(model, row), strict=True)
            assert batch.old_log_prob[index][mask].tolist() == pytest.approx(log_prob, abs=1e-5)
            if step < 2 or entropy_of == "old":
                assert batch.entropy[index][mask].tolist() == pytest.approx(entropy, abs=1e-4)


def without_memory(source, folder):
    """The tiny model with attention that adds nothing: what it says of a token depends on the one before alone."""
    model = AutoModelForCausalLM.from_pretrained(source)
    for layer in model.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("objective", ["htpo", "grpo", "dr_grpo"])
def test_how_an_episode_is_cut_into_rows_changes_no_loss(tiny_model, tmp_path, worlds, objective):
    forgetful = without_memory(tiny_model, tmp_path / "model")
    options = {"objective": objective, "per_device_train_batch_size": 8, "max_grad_norm": 0.0}
    one, several = (
        train(forgetful, tmp_path / "run", worlds, history_length=length, **options) for length in (None, 1)
    )
    assert [row.response for row in one[1]] == [row.response for row in several[1]]
    assert {tuple(row.forgotten) for row in several[1]} == {(0, 0, 1)}
    ours, theirs = (host.state.log_history[0] for host, *_ in (several, one))
    exact = [name for name in theirs if name.startswith(("group/", "clip/")) or name in ("loss", "entropy", "accuracy")]
    assert {name: ours[name] for name in exact} == pytest.approx({name: theirs[name] for name in exact}, abs=1e-6)
    for (name, found), expected in zip(several[0].model.named_parameters(), one[0].model.parameters(), strict=True):
        if "o_proj" not in name:  # the one gradient through what attention saw
            torch.testing.assert_close(found, expected, rtol=0, atol=2e-5, msg=name)


def test_a_history_that_holds_all_changes_nothing(tiny_model, tmp_path, worlds):
    one, several = (train(tiny_model, tmp_path, worlds, history_length=length) for length in (None, 3))
    assert [row.response for row in one[1]] == [row.response for row in several[1]]
    for found, expected in zip(several[0].model.parameters(), one[0].model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_dynamic_sampling_and_quantiles_of_the_batch_know_what_each_token_was_sampled_after(
    tiny_model, tmp_path, worlds
):
    options = {"dynamic_sampling": True, "prompts_per_generation": 2, "max_generation_rounds": 8, "max_steps": 2}
    options |= {"per_device_train_batch_size": 4, "objective_options": {"entropy_scope": "batch"}}
    _, played, seen = train(tiny_model, tmp_path, worlds, verifier=EpisodeVerifier(), history_length=1, **options)
    known = {tuple(row.response): history_places(row) for row in played}
    rows = 0
    for inputs, batch in seen:
        for index in range(len(batch.mask)):
            real = inputs["completion_mask"][index].bool()
            if real.any():
                rows += 1
                places = known[tuple(inputs["completion_ids"][index][real].tolist())]
                assert inputs["history"][index][real].tolist() == places
    assert rows


def test_every_sampled_token_is_in_one_row_alone():
    #                       prompt  turns 1 1 - 2 - 3 3 (padding)
    ids = torch.tensor([[0, 7, 8, 11, 12, 21, 13, 22, 14, 15, 0], [5, 6, 7, 11, 21, 12, 0, 0, 0, 0, 0]])
    mask = torch.tensor([[0] + [1] * 9 + [0], [1] * 6 + [0] * 5])
    history = torch.tensor([[1, 1, 0, 1, 0, 4, 4, 0], [1, 0, 1, 0, 0, 0, 0, 0]])
    rows = ContextRows.of(ids, mask, history)
    read = [row[real.bool()].tolist() for row, real in zip(rows.input_ids, rows.attention_mask, strict=True)]
    assert read == [[7, 8, 11, 12, 21, 13], [7, 8, 13, 22, 14, 15], [5, 6, 7, 11, 21, 12]]
    scored = rows.input_ids[:, -rows.tokens :].float()
    assert rows.back(scored).tolist() == [[11, 12, 21, 13, 0, 14, 15, 0], [11, 21, 12, 0, 0, 0, 0, 0]]


def test_a_batch_without_a_token_to_score_is_read_all_the_same():
    """As the model must be, where other processes do."""
    rows = ContextRows.of(torch.tensor([[5, 6, 7]]), torch.tensor([[1, 0, 0]]), torch.tensor([[1, 1]]))
    assert rows.input_ids.tolist() == [[5, 6]]
    scores = torch.tensor([[-0.5]], requires_grad=True)
    rows.back(scores).sum().backward()
    assert scores.grad is not None
