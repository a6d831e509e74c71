"""A tiny random Qwen3 with characters as tokens, and scripted rollouts: what the engine's tests run on."""

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from htpo.engines.trl import HTPOConfig, HTPOTrainer
from htpo.environments.household.environment import vocabulary

CHARACTERS = "0123456789+-*/=>:. abcdefghijklmnopqrstuvwxyz"


def save_tiny_model(path, chat_template: str | None = None, **config) -> str:
    """Write the model and its tokenizer to a folder, the same weights every time."""
    vocabulary = {"<pad>": 0, "<eos>": 1, "<unk>": 2, **{c: i + 3 for i, c in enumerate(CHARACTERS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    fast.chat_template = chat_template
    return save_tiny_qwen(path, fast, **config)


def save_household_model(path) -> str:
    """Write the model with household's words as tokens."""
    words = {word: number for number, word in enumerate(["<pad>", "<eos>", "<unk>", ">", *vocabulary()])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    return save_tiny_qwen(path, fast)


def save_tiny_qwen(path, tokenizer: PreTrainedTokenizerFast, **config) -> str:
    """Write a random Qwen3 for a tokenizer, and that, to a folder; the same weights every time."""
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            **{
                "vocab_size": len(tokenizer),
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "head_dim": 16,
                "intermediate_size": 64,
                "tie_word_embeddings": True,
                "pad_token_id": tokenizer.pad_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "bos_token_id": None,
                "initializer_range": 0.3,
                **config,
            }
        )
    )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def sums_dataset(rows: int = 40) -> Dataset:
    return Dataset.from_dict({"prompt": [f"{i}+{i}=" for i in range(rows)], "number": list(range(rows))})


def length_reward(completions, **kwargs):
    """Right when the response's length is a multiple of three: about a third, whatever the prompt."""
    return [float(len(completion) % 3 == 0) for completion in completions]


def config(output_dir, **options) -> HTPOConfig:
    """Quiet CPU defaults: 8 prompts x 4 samples -> 2 updates."""
    defaults = {
        "output_dir": str(output_dir),
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 12,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": 1,
        "max_steps": 2,
        "save_strategy": "no",
        "report_to": "none",
        "learning_rate": 1e-2,
        "seed": 1,
        "disable_tqdm": True,
    }
    if not {"gradient_accumulation_steps", "steps_per_generation", "generation_batch_size"} & set(options):
        defaults |= {"prompts_per_generation": 8, "updates_per_generation": 2}
    return HTPOConfig(**(defaults | options))


def trainer(model_path: str, args: HTPOConfig, reward=length_reward, **kwargs) -> HTPOTrainer:
    return HTPOTrainer(
        AutoModelForCausalLM.from_pretrained(model_path),
        reward,
        args,
        train_dataset=kwargs.pop("train_dataset", sums_dataset()),
        processing_class=AutoTokenizer.from_pretrained(model_path),
        **kwargs,
    )


def scripted_rollouts(prompts, host):
    """Rollouts that depend on the prompt and the sample's place in its group alone, never on chance or on the rank."""
    tokenizer = host.processing_class
    completion_ids, seen = [], {}
    for prompt in prompts:
        sample = seen[prompt] = seen.get(prompt, -1) + 1
        number = int(prompt.split("+")[0])
        length = 2 + (number * 7 + sample * 5) % 9
        completion_ids.append([3 + (number * 3 + sample + t * t) % 40 for t in range(length)])
    return {
        "prompt_ids": tokenizer(list(prompts))["input_ids"],
        "completion_ids": completion_ids,
        "logprobs": [[0.0] * len(ids) for ids in completion_ids],
    }


def scripted_reward(prompts, completions, **kwargs):
    """Right for every other response length, so that most groups are mixed."""
    return [float(len(completion) % 2) for completion in completions]


def evaluated(host: HTPOTrainer) -> dict[str, float]:
    """What an evaluation on four responses to each of 16 prompts logs.

    In steps of 16 responses over all processes: the host leaves out losses of the last step unless the number of
    prompts is a multiple of that.
    """
    host.evaluate(sums_dataset(16))
    return {name: value for name, value in host.state.log_history[-1].items() if name.startswith("eval_")}


def step_once(model_path: str, output_dir, **options) -> tuple[HTPOTrainer, torch.Tensor]:
    """The trainer and all its parameters after one SGD update on scripted rollouts of 16 prompts."""
    options = {
        "max_steps": 1,
        "updates_per_generation": 1,
        "prompts_per_generation": 16,
        "max_grad_norm": 0.0,
    } | options
    args = config(output_dir, **options)
    host = trainer(model_path, args, scripted_reward, rollout_func=scripted_rollouts, train_dataset=sums_dataset(16))
    host.optimizer = torch.optim.SGD(host.model.parameters(), lr=1.0)
    host.train()
    return host, torch.cat([p.detach().flatten() for p in host.model.parameters()])
