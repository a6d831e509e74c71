"""A reward function that gives no verdict is refused before there are models, by verl's own reward managers."""

import pytest

from htpo.errors import UserError
from tests.engines.tiny import save_tiny_model
from tests.engines.verl.worker import configuration

pytestmark = pytest.mark.verl

ROW = {
    "data_source": "sums",
    "raw_prompt": [{"role": "user", "content": "1+1="}],
    "reward_model": {"style": "rule", "ground_truth": "2"},
    "extra_info": {"index": 0},
}


def probe(folder, returned: str, *overrides: str) -> None:
    from transformers import AutoTokenizer

    from htpo.engines.verl.reward_probe import refuse_without_verdict

    save_tiny_model(folder / "model")
    (folder / "reward.py").write_text(
        f"def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    return {returned}\n"
    )
    config = configuration(f"reward.custom_reward_function.path={folder / 'reward.py'}", *overrides)
    refuse_without_verdict(config, AutoTokenizer.from_pretrained(folder / "model"), ROW)


@pytest.mark.parametrize("manager", ["naive", "dapo"])
@pytest.mark.parametrize("returned", ["0.5", "{'score': 0.5, 'acc': 1.0}", "{'score': 0.5, 'acc': ground_truth == ''}"])
def test_a_score_or_a_verdict_passes(tmp_path, returned, manager):
    probe(tmp_path, returned, f"reward.reward_manager.name={manager}")


@pytest.mark.parametrize("manager", ["naive", "dapo"])
def test_without_a_verdict_it_is_refused(tmp_path, manager):
    with pytest.raises(UserError, match="says no 'acc' .correct or not., only score, right"):
        probe(tmp_path, "{'score': 0.5, 'right': True}", f"reward.reward_manager.name={manager}")


def test_one_that_fails_on_an_empty_answer_is_left_to_the_first_batch(tmp_path, caplog):
    probe(tmp_path, "{'score': solution_str[0]}")
    assert "shows at the first batch" in caplog.text


def test_a_reward_model_alone_gives_no_verdict(tmp_path):
    with pytest.raises(UserError, match="a reward model by itself says no 'acc'"):
        probe(tmp_path, "0.5", "reward.reward_model.enable=True", "reward.custom_reward_function.path=null")
