"""Options of `htpo train --engine verl` as the command of verl: the same words mean the same as under TRL."""

import shlex
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from htpo.cli.engine_options import for_engine
from htpo.cli.train import parse_train, read_recipe
from htpo.engines.job_options import JobOptions
from htpo.engines.verl.command import Facts, Place, environment, make_command
from htpo.engines.verl.engine import bare_template
from htpo.engines.verl.options import VerlOptions
from htpo.engines.verl.overrides import in_hydra, in_shell
from htpo.errors import UserError
from htpo.tasks.prompts import tokenize_prompts

SIZES = {"prompts_per_generation": 32, "num_generations": 8, "updates_per_generation": 4, "max_steps": 40}


def facts(**changed) -> Facts:
    known = {"policy": "some/model", "prompts": 4096, "held_out": True, "longest_prompt": 100, "chat_template": None}
    return Facts(**{**known, "on_cpu": False, **changed})


def command(job: JobOptions | None = None, on: Facts | None = None, **options) -> list[str]:
    given = VerlOptions(**{"output_dir": "runs/one", "save_steps": 8, **SIZES, **options})
    return make_command(given, job or JobOptions(), Place(Path("/runs/one")), on or facts())


def said(arguments: list[str]) -> dict[str, str]:
    return dict(argument.split("=", 1) for argument in arguments[3:])


def test_updates_become_generation_batches():
    found = said(command(JobOptions(rollout_every=10), warmup_steps=10))
    assert found["data.train_batch_size"] == "32"
    assert found["actor_rollout_ref.actor.ppo_mini_batch_size"] == "8"
    assert found["trainer.total_training_steps"] == "10"
    assert found["trainer.save_freq"] == "2"
    assert found["+htpo.rollout_every"] == "3"
    assert found["actor_rollout_ref.actor.optim.lr_warmup_steps"] == "3"


def test_epochs_are_counted_by_the_data():
    found = said(command(max_steps=-1, num_train_epochs=2, on=facts(prompts=100)))
    assert found["trainer.total_training_steps"] == "6"


def test_a_method_is_as_it_was_published():
    htpo, grpo, dr_grpo = (said(command(objective=name)) for name in ("htpo", "grpo", "dr_grpo"))
    assert htpo["algorithm.filter_groups.metric"] == "acc"
    assert "len:102" in htpo["+reward.reward_kwargs.overlong_buffer_cfg"]
    assert "algorithm.filter_groups.enable" not in grpo
    assert "+reward.reward_kwargs.overlong_buffer_cfg" not in grpo
    assert grpo["actor_rollout_ref.actor.loss_agg_mode"] == "seq-mean-token-mean"
    assert dr_grpo["algorithm.norm_adv_by_std_in_grpo"] == "False"
    assert dr_grpo["actor_rollout_ref.actor.loss_scale_factor"] == "512"


def test_entropy_is_computed_only_where_it_is_the_current_policys():
    assert said(command())["actor_rollout_ref.actor.calculate_entropy"] == "True"
    assert "actor_rollout_ref.actor.calculate_entropy" not in said(command(entropy_of="old"))


def test_the_kl_term_is_an_option_of_verls():
    assert said(command(beta=0.01))["actor_rollout_ref.actor.kl_loss_coef"] == "0.01"
    assert "actor_rollout_ref.actor.use_kl_loss" not in said(command())


def test_the_cpu_takes_what_has_no_gpu_and_says_so():
    found = said(command(on=facts(on_cpu=True)))
    assert found["actor_rollout_ref.rollout.name"] == "transformers"
    assert "fp32" in found["+actor_rollout_ref.actor.fsdp_config.mixed_precision"]
    assert environment(True) == {"VERL_PLATFORM": "cpu"}
    found = said(command())
    assert found["actor_rollout_ref.rollout.name"] == "vllm"
    assert "+actor_rollout_ref.actor.fsdp_config.mixed_precision" not in found
    assert environment(False) == {}


def test_defaults_of_ours_give_way_to_the_users_and_options_do_not():
    given = ["actor_rollout_ref.rollout.name=sglang", "actor_rollout_ref.model.use_liger=True"]
    arguments = command(verl_options=given)
    assert arguments[-2:] == given
    assert "actor_rollout_ref.rollout.name=vllm" not in arguments
    for theirs, ours in {
        "data.train_batch_size=4": "prompts_per_generation",
        "++actor_rollout_ref.actor.optim.lr=1": "learning_rate",
        "actor_rollout_ref.actor.optim={lr:1}": "learning_rate",
        "+htpo.objective=grpo": "objective",
    }.items():
        with pytest.raises(UserError, match=f"is said by --{ours}: give that"):
            command(verl_options=[theirs])
    with pytest.raises(UserError, match="'liger' is no option of verl's"):
        command(verl_options=["liger"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompts_per_generation": 30}, r"prompts_per_generation \(30\) does not divide into 4 updates"),
        ({"max_steps": 42}, r"max_steps \(42\) is not a multiple of the 4 updates per generation.*: use 40"),
        ({"save_steps": 3}, r"save_steps \(3\) is not a multiple.*: use 4"),
        ({"nodes": 3, "gpus_per_node": 1}, "does not divide into 4 updates_per_generation x 3 processes"),
        ({"lr_scheduler_type": "linear"}, "the engine verl knows constant_with_warmup, constant, cosine"),
        ({"trainer_mode": "async"}, "the engine verl knows sync"),
        ({"correctness_threshold": 0.5}, "the verifier says what is correct"),
        ({"max_grad_norm": 0}, "would let verl train nothing"),
        ({"overlong_buffer": 600}, r"overlong_buffer is 600, needs 0 to max_completion_length \(512\)"),
        ({"temperature": 0}, "temperature is 0, needs to be above 0"),
        ({"output_dir": None}, "output_dir is missing"),
    ],
)
def test_what_verl_cannot_do_is_refused_at_once(options, words):
    with pytest.raises(UserError, match=words):
        VerlOptions(**{"output_dir": "runs/one", "save_steps": 8, **SIZES, **options})


def test_what_workers_do_not_hold_is_refused_with_the_option_that_helps():
    with pytest.raises(UserError, match="looks at the whole batch under the policy in training"):
        parse_train({"engine": "verl", "output_dir": "x", "objective": "bapo"})
    with pytest.raises(UserError, match="thresholds over the whole batch need entropy_of=old"):
        parse_train({"engine": "verl", "output_dir": "x", "objective": "entropy_mask"})


def test_options_of_one_engine_are_left_out_of_a_recipe_and_refused_as_flags():
    recipe = {**read_recipe("quickstart"), "use_vllm": False}
    kept, left_out = for_engine(recipe, {"engine": "verl", "max_steps": 8})
    assert left_out == ["report_to", "use_vllm"]
    assert kept["num_generations"] == 8
    with pytest.raises(UserError, match="use_peft is an option of the engine trl; the engine is verl"):
        for_engine(recipe, {"engine": "verl", "use_peft": True})
    with pytest.raises(UserError, match="nodes is an option of the engine verl; the engine is trl"):
        for_engine(recipe, {"nodes": 2})
    assert for_engine({**recipe, "engine": "verl", "nodes": 2}, {"engine": "trl"})[1] == ["nodes"]
    with pytest.raises(UserError, match="no engine 'ver': there are trl, verl"):
        for_engine(recipe, {"engine": "ver"})


TEXTS = ["plain", "/a b/c", "{{ m['x'] }}", "it's", "back\\'slash", "1e3", "null", "a,b", "=", ""]


@pytest.mark.parametrize("value", TEXTS)
def test_texts_survive_hydra(value):
    parser = pytest.importorskip("hydra.core.override_parser.overrides_parser").OverridesParser.create()
    (read,) = parser.parse_overrides([f"x={in_hydra(value)}"])
    found = read.value()
    assert getattr(found, "text", found) == value


def test_the_command_survives_the_shell():
    arguments = ["python", "-m", "x", "a='/b c'", "d={e:[1,2]}", "f='it\\'s $HOME'"]
    printed = in_shell(arguments, {"VERL_PLATFORM": "cpu"})
    assert shlex.split(printed.replace("\\\n", " ")) == ["VERL_PLATFORM=cpu", *arguments]


def test_values_are_as_hydra_writes_them():
    assert in_hydra({"a": True, "b": [1, 2.5, None]}) == "{a:True,b:[1,2.5,null]}"
    assert float(in_hydra(1e-6)) == 1e-6


@pytest.mark.parametrize("begins", [False, True])
def test_a_policy_without_a_chat_template_gets_the_tokens_that_trl_gives_it(begins):
    vocabulary = {"<s>": 0, "1": 1, "+": 2, "=": 3}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<s>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", behavior="isolated")
    if begins:
        raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", pad_token="<s>")
    (ours,) = tokenize_prompts(["1+1="], tokenizer)
    message = [{"role": "user", "content": "1+1="}]
    sent = tokenizer.apply_chat_template(message, chat_template=bare_template(tokenizer), tokenize=False)
    assert tokenizer(sent, add_special_tokens=False).input_ids == ours
    assert len(ours) == 4 + begins
