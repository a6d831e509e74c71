"""`entropy_of: old`: tokens are told apart by the policy that sampled, once for all updates made of a batch."""

from dataclasses import dataclass

import pytest
import torch
from peft import LoraConfig
from trl import GRPOTrainer

from htpo.engines.trl.sampling_entropy import OLD_LOG_PROB
from htpo.errors import UserError
from tests.engines.tiny import (
    config,
    length_reward,
    scripted_reward,
    scripted_rollouts,
    step_once,
    sums_dataset,
    trainer,
)
from tests.engines.verl.worker import load, scored
from tests.objectives.oracle import Options, Response, assign_groups, detached_positions

SHARES = {"high_entropy_fraction": 0.3, "detach_lowest": 0.3, "detach_highest": 0.3}


@dataclass(frozen=True)
class Seen:
    """A response in an update."""

    step: int
    number: int  # of the prompt
    prompt: list[int]
    response: list[int]
    group: list[int]
    detached: list[bool]
    entropy: list[float]
    correct: bool
    group_accuracy: float

    @property
    def name(self) -> tuple[int, tuple[int, ...]]:
        return self.number, (*self.response,)


def recorder(seen: list[Seen]):
    def record(step, inputs, batch, outcome, index, update):
        for row, inside in enumerate(batch.mask):
            if inside.any():
                lists = (x[row][inside].tolist() for x in (outcome.group, outcome.detached, batch.entropy))
                prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist()
                response = inputs["completion_ids"][row][inside].tolist()
                said = bool(inputs["correct"][row]), inputs["group_accuracy"][row].item()
                seen.append(Seen(step, int(inputs["prompt_id"][row]), prompt, response, *lists, *said))

    return record


def right_by_place(completions, number, **kwargs):
    """One, two or three of four answers are right, by the prompt."""
    return [float(index % 4 <= n % 3) for index, n in enumerate(number)]


def train(tiny_model, folder, **options) -> list[Seen]:
    """All responses of all updates; 8 prompts x 4 samples -> 2 updates of 2 micro-batches each, twice."""
    seen: list[Seen] = []
    options = {"per_device_train_batch_size": 8, "num_iterations": 2, "max_steps": 4} | options
    args, rollouts = config(folder, **options), {"rollout_func": scripted_rollouts, "rollout_recorder": recorder(seen)}
    trainer(tiny_model, args, right_by_place, **rollouts).train()
    return seen


@pytest.mark.parametrize("scope", ["response", "batch"])
def test_groups_are_the_oracle_s_by_the_policy_that_sampled_in_every_update(tiny_model, tmp_path, scope):
    seen = train(tiny_model, tmp_path, entropy_of="old", objective_options={"entropy_scope": scope, **SHARES})
    batch = {each.name: each for each in seen}
    assert [sum(each.step == step for each in seen) for step in (1, 2, 3, 4)] == [16, 16, 16, 16]
    assert len(batch) == 32
    policy = load(tiny_model)  # before its first update
    known = []
    for each in batch.values():
        with torch.no_grad():
            entropy = scored(policy, each.prompt, each.response)[1].tolist()
        assert each.entropy == pytest.approx(entropy, abs=1e-4)
        nothing = [0.0] * len(entropy)
        inside = [True] * len(entropy)
        known.append(Response(nothing, nothing, nothing, entropy, inside, each.correct, each.group_accuracy))
    options = Options(entropy_scope=scope, **SHARES)
    groups = assign_groups(known, options)
    detached = detached_positions(known, groups, options, scope)
    assert {group for row in groups for group in row} == set(range(1, 9))
    assert detached
    expected = {
        name: (row, [(i, t) in detached for t in range(len(row))]) for i, (name, row) in enumerate(zip(batch, groups))
    }
    for each in seen:
        assert (each.group, each.detached) == expected[each.name], each.step


@pytest.mark.parametrize(("entropy_of", "moves"), [("current", True), ("old", False)])
def test_only_by_the_policy_in_training_do_groups_move_from_update_to_update(tiny_model, tmp_path, entropy_of, moves):
    seen = train(tiny_model, tmp_path, entropy_of=entropy_of, learning_rate=3e-2)
    first, again = ({e.name: e.group for e in seen if e.step in steps} for steps in ((1, 2), (3, 4)))
    assert first.keys() == again.keys()
    assert (first != again) == moves


def passes(monkeypatch) -> list[bool]:
    """Grows by one with every forward pass that scores responses: whether entropies are asked for."""
    counted: list[bool] = []
    score = GRPOTrainer._get_per_token_logps_and_entropies

    def counting(self, model, *args, **kwargs):
        counted.append(kwargs.get("compute_entropy", False))
        return score(self, model, *args, **kwargs)

    monkeypatch.setattr(GRPOTrainer, "_get_per_token_logps_and_entropies", counting)
    return counted


def test_where_one_update_is_made_of_a_batch_both_are_the_same(tiny_model, tmp_path, monkeypatch):
    counted = passes(monkeypatch)
    made, took = {}, {}
    for entropy_of in ("current", "old"):
        counted.clear()
        options = {"entropy_of": entropy_of, "objective_options": {"entropy_scope": "batch"}}
        _, made[entropy_of] = step_once(tiny_model, tmp_path, per_device_train_batch_size=16, **options)
        took[entropy_of] = list(counted)
    assert torch.equal(made["current"], made["old"])
    assert took["current"] == took["old"]


@pytest.mark.parametrize(("scope", "fewer"), [("response", 0), ("batch", 8)])
def test_it_takes_no_pass_of_its_own_and_saves_those_for_thresholds(tiny_model, tmp_path, monkeypatch, scope, fewer):
    counted = passes(monkeypatch)
    took = {}
    for entropy_of in ("current", "old"):
        counted.clear()
        train(tiny_model, tmp_path, entropy_of=entropy_of, objective_options={"entropy_scope": scope})
        took[entropy_of] = len(counted)
    assert took["old"] == took["current"] - fewer  # four updates of two micro-batches


@pytest.mark.parametrize("adapter", [False, True], ids=["", "of an adapter whose reference is the same model"])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_every_response_keeps_the_entropy_it_was_sampled_with(tiny_model, tmp_path, monkeypatch, beta, adapter):
    """Through dynamic sampling, what it leaves over for later batches, shuffling and cutting."""
    generated = {}
    rounds = GRPOTrainer._generate_and_score_completions
    trained: list[Seen] = []

    def mixed_for_two_in_three(completions, number, **kwargs):
        return [float(index % 4 == 0 and n % 3 != 1) for index, n in enumerate(number)]

    args = config(tmp_path, entropy_of="old", max_steps=8, per_device_train_batch_size=8, beta=beta)
    more = {"peft_config": LoraConfig(r=8, lora_alpha=32, target_modules=["q_proj", "v_proj"])} if adapter else {}
    host = trainer(tiny_model, args, mixed_for_two_in_three, rollout_recorder=recorder(trained), **more)

    def noting(self, inputs):
        """What the policy's own logits say, row by row, when the host has sampled."""
        batch = rounds(self, inputs)
        for row, inside in enumerate(batch["completion_mask"].bool()):
            prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
            response = batch["completion_ids"][row][inside].tolist()
            with torch.no_grad():
                entropy = scored(self.model, prompt, response)[1].tolist()
            generated.setdefault((*prompt, -1, *response), []).append(entropy)
        return batch

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", noting)
    host.train()
    assert max(r.get("sampling/groups_from_surplus", 0) for r in host.state.log_history) > 0
    assert len(trained) == 128
    for each in trained:
        known = generated[(*each.prompt, -1, *each.response)]  # short answers may be sampled again by a later policy
        assert any(each.entropy == pytest.approx(entropy, abs=1e-4) for entropy in known)


def test_an_evaluation_has_the_thresholds_of_its_own_batch(tiny_model, tmp_path):
    def evaluation(entropy_of):
        options = {"objective": "entropy_mask", "entropy_of": entropy_of, "per_device_eval_batch_size": 16}
        host = trainer(tiny_model, config(tmp_path, **options), scripted_reward, rollout_func=scripted_rollouts)
        host.evaluate(sums_dataset(16))
        return {k: v for k, v in host.state.log_history[-1].items() if k in ("eval_loss", "eval_differs_from_ppo")}

    assert evaluation("old") == pytest.approx(evaluation("current"), abs=1e-6)


@pytest.mark.parametrize("objective", ["bapo", "clip_cov", "kl_cov"])
def test_what_looks_at_the_current_policy_over_the_batch_is_refused(tmp_path, objective):
    with pytest.raises(UserError, match=f"entropy_of=old: objective '{objective}' looks at the whole batch"):
        config(tmp_path, objective=objective, entropy_of="old")


def test_an_entropy_of_nobody_is_refused(tmp_path):
    with pytest.raises(UserError, match="entropy_of is 'new', needs one of current, old"):
        config(tmp_path, entropy_of="new")


def test_groups_left_over_by_a_run_of_another_kind_are_refused(tiny_model, tmp_path):
    def mixed_for_two_in_three(completions, number, **kwargs):
        return [float(index % 4 == 0 and n % 3 != 1) for index, n in enumerate(number)]

    def host(entropy_of):
        options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "entropy_of": entropy_of}
        return trainer(tiny_model, config(tmp_path, **options), mixed_for_two_in_three)

    host("current").train()
    left_over = sorted(tmp_path.glob("checkpoint-*/surplus-0.safetensors"))[0]
    with pytest.raises(UserError, match="was not written with entropy_of=old"):
        host("old").train(resume_from_checkpoint=str(left_over.parent))


def test_the_host_must_score_with_the_policy(tiny_model, tmp_path, monkeypatch):
    rounds = GRPOTrainer._generate_and_score_completions

    def copied(self, inputs):
        batch = rounds(self, inputs)
        return {**batch, OLD_LOG_PROB: batch[OLD_LOG_PROB].clone()}

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", copied)
    with pytest.raises(UserError, match="old log-probabilities are not those of a forward pass"):
        trainer(tiny_model, config(tmp_path, entropy_of="old"), length_reward).train()
