"""A tiny model as a generator."""

from transformers import AutoModelForCausalLM

from htpo.evaluate import ModelGenerator, SamplingOptions, load_tokenizer


def tiny_generator(folder: str, options: SamplingOptions, **further) -> ModelGenerator:
    """Of the model and the tokenizer in a folder."""
    return ModelGenerator(AutoModelForCausalLM.from_pretrained(folder), load_tokenizer(folder), options, **further)
