"""Every benchmark, from the hub and from a file in its place."""

import pytest
from datasets import Dataset

from htpo.tasks import BENCHMARKS
from tests.tasks.data import ADD, load

LOCAL_FILES = {
    "aime24": ("math/aime2024.jsonl", 30),
    "aime25": ("math/aime2025.jsonl", 30),
    "amc23": ("math/amc2023_40.jsonl", 40),
    "minerva": ("math/minerva_math.jsonl", 272),
    "olympiadbench": ("math/olympiadbench_oe_to_maths_en.jsonl", 675),
    "math500": ("math/math500.jsonl", 500),
    "gsm8k": ("math/gsm8k_test.jsonl", 1319),
    "livecodebench": ("code/livecodebench_v5v6_public_342.jsonl", 342),
    "humaneval": ("code/humaneval_164.jsonl", 164),
    "mbpp": ("code/mbpp_399.jsonl", 399),
}


@pytest.mark.parametrize("name", LOCAL_FILES)
def test_every_benchmark_is_read_from_its_local_file(shared_data, name):
    file, count = LOCAL_FILES[name]
    task = load(f"{name}={shared_data / file}")
    task.verifier.close()
    assert 0.97 * count <= len(task.train) <= count
    assert task.name == name
    assert str(count - len(task.train)) in task.description or len(task.train) == count


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_by_name_alone_is_asked_of_the_hub(monkeypatch, name):
    asked = []

    def load_dataset(*arguments, **options):
        asked.append((arguments, options))
        known = BENCHMARKS[name]
        row = {known.prompt_columns[0]: "2 + 2?", known.answer_columns[0]: "4"}
        return Dataset.from_list([row | ({"tests": ADD["tests"]} if known.verifier == "code" else {})])

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    task = load(name)
    assert len(task.train) == 1
    (((first, *_), options),) = asked
    known = BENCHMARKS[name]
    if known.data_files:
        assert first == "json"
        assert options["data_files"][0] == f"hf://datasets/{known.hub_id}/{known.data_files[0]}"
    else:
        assert asked == [((known.hub_id, known.config), {"split": known.split})]


def test_a_benchmark_s_own_split_gives_way_to_the_one_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "datasets.load_dataset",
        lambda *a, split: asked.append(split) or Dataset.from_list([{"question": "2 + 2?", "answer": "#### 4"}]),
    )
    load("gsm8k", dataset_split="train")
    load("gsm8k")
    assert asked == ["train", "test"]
