"""Scoring texts with a model: log-probability and full-distribution entropy of every response token."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, groupby, zip_longest
from typing import Any

import pyarrow as pa
import torch
from transformers import DynamicCache

from htpo.errors import UserError
from htpo.evaluate import load_model, load_tokenizer
from htpo.runs.rollouts import OF_EPISODES
from htpo.tasks.prompts import Prompt, readable, tokenize_prompts
from htpo.terminal import progress_bar

CHUNK = 512  # positions whose logits exist at once


def score_texts(rows: Sequence[dict[str, Any]], model: str, temperature: float) -> pa.Table:
    """Rollout columns of texts under a model: `token_ids`, `tokens`, `log_prob`, `entropy`, and what the rows hold.

    A response is tokenized apart from its prompt, as it was when it was sampled; the end token is not part of it. Of an
    episode, each turn is, after all that stood before it when it was sampled: not after turns that had left.

    Args:
        rows: as `read_texts` gives them.
        model: Hugging Face id or folder; code from it is not run.
        temperature: of the distribution that is scored.

    Raises:
        UserError: the model cannot be loaded, a prompt does not suit it, or a text is longer than it reads.
    """
    tokenizer = load_tokenizer(model)
    network = load_model(model, dtype="auto")
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    network.to(device).eval()
    longest = getattr(network.config, "max_position_embeddings", None)
    scored: dict[str, list] = {name: [] for name in ("token_ids", "tokens", "log_prob", "entropy")}
    turn_tokens: list[list[int] | None] = []
    with progress_bar("scoring", len(rows), "response") as bar:
        for number, row in enumerate(rows, start=1):
            prompt = _prompt_ids(row["prompt"], tokenizer)
            parts = _parts(row, tokenizer)
            if not prompt:
                if tokenizer.bos_token_id is None:
                    raise UserError(f"row {number}: an empty prompt, and {model} has no first token to stand in for it")
                prompt = [tokenizer.bos_token_id]
            ids = [token for part in parts for token in part.ids]
            scored["token_ids"].append(ids)
            scored["tokens"].append([tokenizer.decode([token]) for token in ids])
            log_probs, entropies = [], []
            for carried, together in _stretches(parts, row.get("forgotten")):
                response = [token for part in together for token in (*part.ids, *part.after)]
                before = prompt + carried
                if longest and len(before) + len(response) > longest:
                    size = f"{len(before) + len(response)} tokens, {model} reads {longest}"
                    raise UserError(f"row {number} is too long ({size}): cut it, or choose another --model")
                written = [known for part in together for known in [True] * len(part.ids) + [False] * len(part.after)]
                log_prob, entropy = score_tokens(network, before, response, temperature)
                log_probs += compress(log_prob.tolist(), written)
                entropies += compress(entropy.tolist(), written)
            scored["log_prob"].append(log_probs)
            scored["entropy"].append(entropies)
            turn_tokens.append(None if row.get("written") is None else [len(part.ids) for part in parts])
            bar.update(1)
    known = {
        "prompt": [readable(row["prompt"]) for row in rows],
        "response": [row["response"] for row in rows],
        "correct": pa.array([row["correct"] for row in rows], pa.bool_()),
        "group_accuracy": pa.array([row["group_accuracy"] for row in rows], pa.float64()),
    }
    if any(turn_tokens):
        known |= {name: [row.get(name) for row in rows] for name in ("failure", *OF_EPISODES)}
        known["turn_tokens"] = turn_tokens
    return pa.table({**known, **scored})


@dataclass(frozen=True)
class Part:
    """What was written in one go, and what stood after it, before the next."""

    ids: list[int]
    after: list[int]


def _parts(row: Mapping[str, Any], tokenizer: Any) -> list[Part]:
    """A response as one part, an episode as one for every turn.

    The end token of a turn is no text, and so is not stored; a turn that had one token more than its text ended by it.
    """

    def ids(text: str) -> list[int]:
        return tokenizer(text=text, add_special_tokens=False)["input_ids"]

    if row.get("written") is None:
        return [Part(ids(row["response"]), [])]
    parts = []
    for text, count, shown in zip_longest(row["written"], row["turn_tokens"], row["shown"]):
        written = ids(text)
        ended = count is not None and count > len(written) and shown is not None
        parts.append(Part(written, ([tokenizer.eos_token_id] if ended else []) + (ids(shown) if shown else [])))
    return parts


def _stretches(parts: Sequence[Part], forgotten: Sequence[int] | None) -> Iterator[tuple[list[int], list[Part]]]:
    """Turns that were sampled after the same beginning, and the ids of those turns before that had not left it.

    Args:
        forgotten: turn by turn, how many of the oldest had left; None: none.
    """
    begins = forgotten or [0] * len(parts)
    for begin, places in groupby(range(len(parts)), key=begins.__getitem__):
        first, *others = places
        carried = [token for part in parts[begin:first] for token in (*part.ids, *part.after)]
        yield carried, list(parts[first : first + 1 + len(others)])


@torch.inference_mode()
def score_tokens(
    network: Any, prompt: Sequence[int], response: Sequence[int], temperature: float, chunk: int = CHUNK
) -> tuple[torch.Tensor, torch.Tensor]:
    """(T,) log-probability and (T,) entropy, both in nats, of the response's T tokens after the prompt.

    The text is read in chunks through the model's cache, so that logits of at most `chunk` positions exist at once.
    """
    ids = torch.tensor([[*prompt, *response]], device=network.device)
    cache = DynamicCache(config=network.config)
    log_probs, entropies = [], []
    for start in range(0, ids.shape[1] - 1, chunk):
        stop = min(start + chunk, ids.shape[1] - 1)
        first = min(max(len(prompt) - 1, start), stop)  # the position that predicts the first response token
        output = network(input_ids=ids[:, start:stop], past_key_values=cache, logits_to_keep=max(stop - first, 1))
        if first == stop:
            continue
        logits = (output.logits[0].float() / temperature).log_softmax(-1)
        log_probs.append(logits.gather(1, ids[0, first + 1 : stop + 1, None])[:, 0])
        entropies.append(-(logits.exp() * logits).nansum(-1))
    nothing = torch.zeros(0)
    return (torch.cat(log_probs).cpu(), torch.cat(entropies).cpu()) if log_probs else (nothing, nothing)


def _prompt_ids(prompt: Prompt, tokenizer: Any) -> list[int]:
    """As in sampling, and a text that went through a chat template before does not get a second first token."""
    if tokenizer.bos_token and isinstance(prompt, str) and prompt.startswith(tokenizer.bos_token):
        return tokenizer(text=prompt, add_special_tokens=False)["input_ids"]
    return tokenize_prompts([prompt], tokenizer)[0]
