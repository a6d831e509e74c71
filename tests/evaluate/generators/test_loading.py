"""A model's weights come from safetensors files; nothing of a pickled file is run."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3ForCausalLM

from htpo.analysis.scoring import score_texts
from htpo.cli.evaluate.command import evaluate_from_arguments
from htpo.cli.train import train_from_arguments
from htpo.errors import UserError
from htpo.evaluate import load_model
from tests.cli.command import SMALL

REFUSED = r"its weights are pickled \(pytorch_model.bin\).*save_pretrained"


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def trace(tmp_path) -> Path:
    return tmp_path / "code-was-run"


@pytest.fixture
def pickled(tiny_model, tmp_path, trace) -> Path:
    """A model whose weights are a pickled file with code in it."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "pickled"))
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(trace)))
    return folder


def test_pickled_weights_are_refused_before_they_are_read(pickled, trace):
    with pytest.raises(UserError, match=REFUSED):
        load_model(str(pickled))
    with pytest.raises(UserError, match=REFUSED):
        score_texts([{"prompt": "a", "response": "b"}], str(pickled), 1.0)
    assert not trace.exists()


def test_pickled_weights_are_refused_in_parts_as_whole_but_not_beside_safetensors(pickled, tiny_model, trace):
    (pickled / "pytorch_model.bin").rename(pickled / "pytorch_model-00001-of-00002.bin")
    with pytest.raises(UserError, match=r"pickled \(pytorch_model-00001-of-00002.bin\)"):
        load_model(str(pickled))
    shutil.copy(Path(tiny_model) / "model.safetensors", pickled)
    loaded, whole = load_model(str(pickled)), AutoModelForCausalLM.from_pretrained(tiny_model)
    assert torch.equal(loaded.lm_head.weight, whole.lm_head.weight)
    assert not trace.exists()


def test_the_name_of_pickled_weights_does_not_matter(pickled, trace):
    """transformers is told, too: an index may name any file."""
    (pickled / "pytorch_model.bin").rename(pickled / "weights.data")
    (pickled / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"lm_head.weight": "weights.data"}})
    )
    with pytest.raises(UserError, match=r"cannot load a model.*no file named model\.safetensors"):
        load_model(str(pickled))
    assert not trace.exists()


def test_training_and_evaluation_refuse_them_before_time_is_spent(pickled, trace, tmp_path):
    output = ["--output_dir", str(tmp_path / "run")]
    with pytest.raises(UserError, match=REFUSED):
        train_from_arguments(["--model_name_or_path", str(pickled), *output])
    with pytest.raises(UserError, match=REFUSED):
        evaluate_from_arguments([str(pickled), "--tasks", "number_path", *output])
    assert not (tmp_path / "run").exists()
    assert not trace.exists()


def test_trl_reads_safetensors_alone(tmp_path, monkeypatch):
    """Of a Hugging Face id nothing is known before it is loaded."""
    asked = {}

    def from_pretrained(path, **options):
        asked.update(options)
        raise OSError("seen enough")

    monkeypatch.setattr(Qwen3ForCausalLM, "from_pretrained", from_pretrained)
    with pytest.raises(UserError, match="cannot set up training.*seen enough"):
        train_from_arguments([*SMALL, "--output_dir", str(tmp_path / "run")])
    assert asked["use_safetensors"]
