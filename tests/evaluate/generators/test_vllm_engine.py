"""The vLLM back end: what is asked of the engine, with a stand-in; `test_real_vllm.py` runs the real one."""

import json
import shutil
import sys
from dataclasses import make_dataclass
from types import SimpleNamespace

import pytest

from htpo.errors import UserError
from htpo.evaluate import SamplingOptions, collect
from htpo.evaluate.episodes import load_environment_problems
from htpo.evaluate.generators.loading import load_tokenizer
from htpo.evaluate.generators.local import LocalOptions
from htpo.evaluate.generators.vllm_engine import VLLMBackend, VLLMGenerator, VLLMOptions, check_engine_options
from htpo.evaluate.samples import SampleStore
from htpo.playing.options import PlayOptions
from tests.evaluate.test_collection import SAMPLES, problems

KNOWN = ("model", "dtype", "max_model_len", "hf_token", "enforce_eager", "quantization", "_internal")


class FakeLLM:
    """Stands for `vllm.LLM`: what of its interface is used, with its names."""

    def __init__(self, *, model, revision, dtype, trust_remote_code, **options):
        self.options, self.dtype, self.calls = options, dtype, []
        if options.get("gpu_memory_utilization") == 0.99:
            raise ValueError("Free memory on device is less than desired\nmore")
        config = SimpleNamespace(max_model_len=options.get("max_model_len", 40))
        self.llm_engine = SimpleNamespace(model_config=config)

    def generate(self, prompts, sampling_params, *, use_tqdm):
        self.calls.append((prompts, sampling_params))
        return [
            SimpleNamespace(outputs=[SimpleNamespace(text="a", token_ids=[7], finish_reason="stop")]) for _ in prompts
        ]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    arguments = make_dataclass("EngineArgs", KNOWN)
    stand_in = SimpleNamespace(LLM=FakeLLM, SamplingParams=SimpleNamespace, EngineArgs=arguments)
    monkeypatch.setitem(sys.modules, "vllm", stand_in)


def test_the_engine_is_asked_as_its_interface_wants(tmp_path, tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    options = {"max_model_len": 32, "enforce_eager": True}
    made = VLLMGenerator(tiny_model, tokenizer, SamplingOptions(max_tokens=8), batch_size=10, engine_options=options)
    assert made._engine.options == {"load_format": "safetensors", **options}
    store = SampleStore(tmp_path / "samples")
    assert collect(problems(), made, store, SAMPLES) == 0
    calls = made._engine.calls
    assert [len(prompts) for prompts, _ in calls] == [10, 8]
    assert calls[0][0][0] == {"prompt_token_ids": tokenizer("1+1=")["input_ids"]}
    given = [parameters for _, each in calls for parameters in each]
    assert {(p.n, p.temperature, p.top_p, p.max_tokens) for p in given} == {(1, 1.0, 0.7, 8)}
    assert {(*p.stop_token_ids,) for p in given} == {(1,)}
    assert len({p.seed for p in given}) == 18
    assert store.measured()["correct"].to_pylist() == [True] * 6 + [False] * 12


@pytest.mark.parametrize(
    ("stored", "asked", "given"),
    [("float32", "auto", "float32"), ("bfloat16", "auto", "auto"), ("float32", "bfloat16", "bfloat16")],
)
def test_weights_stay_as_they_are_stored_unless_another_type_is_asked_for(tmp_path, tiny_model, stored, asked, given):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "dtype": stored}))
    made = VLLMGenerator(str(model), load_tokenizer(tiny_model), SamplingOptions(), dtype=asked)
    assert made._engine.dtype == given


def test_episodes_are_turns_of_the_engine_each_with_a_seed_of_its_own(tmp_path, tiny_model):
    made = VLLMGenerator(tiny_model, load_tokenizer(tiny_model), SamplingOptions(max_tokens=60), batch_size=3)
    store = SampleStore(tmp_path / "samples")
    play = PlayOptions(max_turn_length=4)
    environment = load_environment_problems(
        "tests.environments.unruly:Counting", play, "compact", {"total": 4}, 2, seed=0
    )
    assert collect(environment, made, store, 2) == 0
    calls = made._engine.calls
    assert [len(prompts) for prompts, _ in calls] == [3] * 6 + [1] * 6
    lengths = [len(prompts[0]["prompt_token_ids"]) for prompts, _ in calls]
    assert lengths == [8, *[31] * 5] * 2, "the engine takes 40: the task, the last turn and 4 for a new one"
    assert all(p.max_tokens == 4 for _, each in calls for p in each)
    assert len({p.seed for _, each in calls for p in each}) == 24
    first, second = (prompts[0]["prompt_token_ids"] for prompts, _ in calls[:2])
    assert second[: len(first) + 1] == [*first, 7]
    rows = [row for rows in store.rows() for row in rows]
    assert {(row["failure"], *row["actions"], *row["invalid"]) for row in rows} == {(None, *"444444", *[True] * 6)}
    assert {tuple(row["turn_tokens"]) for row in rows} == {(1,) * 6}
    assert {tuple(row["forgotten"]) for row in rows} == {(0, 0, 1, 2, 3, 4)}


def test_options_of_the_command_reach_the_engine(tiny_model):
    engine = VLLMOptions(max_model_len=32, vllm_options='{"enforce_eager": true}')
    backend = VLLMBackend(tiny_model, SamplingOptions(max_tokens=8), None, LocalOptions(batch_size=10), engine)
    backend.check(["1" * 31])
    with pytest.raises(UserError, match="a prompt has 32 tokens and the engine takes 32"):
        backend.check(["1" * 32])
    made = backend.start()
    assert made._engine.options == {"load_format": "safetensors", "max_model_len": 32, "enforce_eager": True}
    assert made.batch_size == 10
    assert backend.conversational is False
    with pytest.raises(UserError, match="has no chat template"):
        VLLMBackend(tiny_model, SamplingOptions(), True, LocalOptions(), engine)


def test_responses_beyond_the_engine_s_length_are_said_and_prompts_refused(tiny_model):
    made = VLLMGenerator(tiny_model, load_tokenizer(tiny_model), SamplingOptions(max_tokens=36))
    assert made.beyond_context(["1+1="]) is None
    assert "go beyond the 40 that the model may use here (--max_model_len)" in made.beyond_context(["11+1="])
    with pytest.raises(UserError, match=r"a prompt has 40 tokens and the engine takes 40 .* raise --max_model_len"):
        made.beyond_context(["1" * 40])


def test_an_engine_that_does_not_start_is_one_line(tiny_model):
    with pytest.raises(
        UserError, match=r"vLLM does not start with .*: Free memory on device is less than desired \(what "
    ):
        VLLMGenerator(tiny_model, None, SamplingOptions(), engine_options={"gpu_memory_utilization": 0.99})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"enforce_eagr": True}, "no engine option 'enforce_eagr': did you mean 'enforce_eager'?"),
        ({"enforce_eager": True, "zzz": 1, "yyy": 2}, "no engine option 'zzz', 'yyy'"),
        ({"_internal": 1}, "no engine option '_internal'"),
        ({"max_model_len": 8}, "max_model_len has an option of its own, --max_model_len"),
        ({"model": "m"}, "model has an option of its own, the model"),
        ({"hf_token": "secret"}, "hf_token would be stored with the evaluation: set the variable HF_TOKEN"),
    ],
)
def test_engine_options_that_are_wrong_are_named_before_anything_is_loaded(given, message):
    with pytest.raises(UserError) as said:
        check_engine_options(given)
    assert message in str(said.value)
    assert "secret" not in str(said.value)
    check_engine_options({"quantization": "fp8", "enforce_eager": False})


def test_vllm_that_is_missing_is_said(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"needs vLLM: pip install"):
        VLLMGenerator(tiny_model, None, SamplingOptions())
    with pytest.raises(UserError, match=r"needs vLLM: pip install"):
        check_engine_options({})
