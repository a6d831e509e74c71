"""`TokenTable`: one row per token of many responses, what every token analysis starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from htpo.analysis.token_text import restore_spaces
from htpo.errors import UserError
from htpo.runs import RunRecord
from htpo.runs.rollouts import OF_EPISODES
from htpo.statistics import PromptSample

HIGH_SHARE = (1, 5)  # the top fifth of a response's tokens by entropy is high, as in the method
EASY_ACCURACY = 0.6  # a prompt solved at least this often is easy
ROUNDING = 1e-6  # an accuracy such as 3/5 is stored in single precision
DIFFICULTIES, ANSWERS = ("hard", "easy"), ("correct", "wrong")
CELLS = tuple((difficulty, answer) for difficulty in DIFFICULTIES for answer in ANSWERS)
PARTITION = {
    f"G{number}": f"G{number} {difficulty} {answer} {level}"
    for number, (difficulty, answer, level) in enumerate(
        ((difficulty, answer, level) for difficulty, answer in CELLS for level in ("low", "high")), start=1
    )
}
PER_TOKEN = ("log_prob", "old_log_prob", "entropy", "group", "weight")


@dataclass(frozen=True)
class TokenTable:
    """Tokens of responses, and the responses they belong to.

    `responses`, by response id: `prompt`, `response`, `step` (update), `prompt_id` (responses to one prompt in one
    update of one run share it), `correct` (1, 0 or NaN), `group_accuracy`, `advantage` (NaN where not known),
    `difficulty` (hard, easy or missing), `answer` (correct, wrong or missing), `tokens` (count), and if known `gold`,
    `extracted` (the answer that was judged), `failure` and, of episodes, `htpo.runs.rollouts.OF_EPISODES`, else None.

    `tokens`, in order: `response_id`, `position`, `text`, `entropy` (nats), `log_prob`, `old_log_prob` (nats),
    `group` (1 and up), `weight`, `advantage`, `correct`, `group_accuracy`, `step`, `high` (among the top fifth of its
    response by entropy, ties included). What is not known is NaN; an unknown group is 0.
    """

    responses: pd.DataFrame
    tokens: pd.DataFrame
    groups: dict[str, str]  # name -> label of every group of the partition
    grouped_in_training: bool  # False: the groups are HTPO's partition, which the objective did not use

    def of(self, column: str) -> np.ndarray:
        """A column of `responses` for every token."""
        return self.responses[column].to_numpy()[self.tokens["response_id"].to_numpy()]


def prompt_sample(responses: pd.DataFrame) -> PromptSample:
    """What intervals over these responses of a table are drawn from: their prompts, update by update of each run."""
    updates = responses.groupby(["run", "step"], dropna=False).ngroup()
    return PromptSample(responses["prompt_id"], updates)


def read_runs(runs: Sequence[RunRecord]) -> TokenTable:
    """The token table of the rollouts that runs of one method kept.

    Raises:
        UserError: a run kept none, or its files are not as `htpo train` writes them.
    """
    parts = []
    for number, run in enumerate(runs):
        rollouts = run.directory.read_rollouts()
        parts.append(rollouts.append_column("run", pa.array([number] * len(rollouts), pa.int32())))
    try:
        return build(pa.concat_tables(parts, promote_options="permissive"), runs[0].objective.labels)
    except (KeyError, pa.ArrowInvalid) as error:
        raise UserError(f"the rollouts of {runs[0].directory.path} are not as htpo writes them: {error}") from error


def build(rollouts: pa.Table, labels: dict[str, str]) -> TokenTable:
    """The token table of rollouts.

    Args:
        rollouts: a row per response with `prompt`, `response`, and lists `tokens` and `entropy`; of the other columns
            of `rollouts/*.parquet`, those that are known. `run` tells runs apart.
        labels: of the groups that training used, by name; empty where there were none.

    Raises:
        KeyError: a column that must be there is not.
    """
    lengths = rollouts["tokens"].combine_chunks().value_lengths().fill_null(0).to_numpy()
    responses = _responses(rollouts, lengths)
    ids = np.repeat(np.arange(len(responses)), lengths)
    starts = np.cumsum(lengths) - lengths
    columns: dict[str, Any] = {"response_id": ids, "position": np.arange(len(ids)) - starts[ids]}
    texts: list[str] = []
    for tokens, response in zip(rollouts["tokens"].to_pylist(), responses["response"]):
        texts += restore_spaces(tokens or [], response)
    columns["text"] = pd.Categorical(texts)
    for name in PER_TOKEN:
        known = name in rollouts.column_names
        columns[name] = _flat(rollouts[name]) if known else np.full(len(ids), np.nan)
        if len(columns[name]) != len(ids):
            raise KeyError(f"{name} has {len(columns[name])} values for {len(ids)} tokens")
    for name in ("advantage", "correct", "group_accuracy", "step"):
        columns[name] = responses[name].to_numpy()[ids]
    columns["high"] = high_entropy(columns["entropy"], ids, lengths)
    group = np.nan_to_num(columns["group"]).astype(np.int16)
    grouped = bool(group.any())
    columns["group"] = group if grouped else _partition(responses, ids, columns["high"])
    tokens = pd.DataFrame(columns)
    if grouped and not labels:
        labels = {f"G{number}": f"G{number}" for number in range(1, int(group.max()) + 1)}
    return TokenTable(responses, tokens, labels if grouped else PARTITION, grouped)


def _responses(rollouts: pa.Table, lengths: np.ndarray) -> pd.DataFrame:
    def texts(name: str) -> list[Any]:
        return rollouts[name].to_pylist() if name in rollouts.column_names else [None] * len(rollouts)

    def column(name: str) -> np.ndarray:
        if name not in rollouts.column_names:
            return np.full(len(rollouts), np.nan)
        return rollouts[name].cast(pa.float64()).to_numpy(zero_copy_only=False)

    responses = pd.DataFrame(
        {
            "prompt": rollouts["prompt"].to_pylist(),
            "response": rollouts["response"].to_pylist(),
            "gold": pd.Series(texts("gold"), dtype=object),
            "extracted": pd.Series(texts("answer"), dtype=object),
            "failure": pd.Series(texts("failure"), dtype=object),
            **{name: pd.Series(texts(name), dtype=object) for name in OF_EPISODES},
            **{name: column(name) for name in ("step", "run", "correct", "group_accuracy", "advantage")},
            "tokens": lengths,
        }
    )
    responses["prompt_id"] = responses.groupby(["run", "step", "prompt"], dropna=False, sort=False).ngroup()
    accuracy = responses["group_accuracy"]
    hard = np.where(accuracy < EASY_ACCURACY - ROUNDING, *DIFFICULTIES)
    responses["difficulty"] = pd.Series(hard, dtype=object).where(accuracy.notna(), None)
    answer = np.where(responses["correct"] == 1, *ANSWERS)
    responses["answer"] = pd.Series(answer, dtype=object).where(responses["correct"].notna(), None)
    return responses


def high_entropy(entropy: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(tokens,) bool: at least the k-th largest entropy of the response, k = max(floor(tokens / 5), 1).

    Args:
        entropy: (tokens,) nats, the responses one after another.
        ids: (tokens,) which response.
        lengths: (responses,) tokens of each.
    """
    order = np.lexsort((-entropy, ids))
    k = np.maximum(lengths * HIGH_SHARE[0] // HIGH_SHARE[1], 1)
    some = lengths > 0
    threshold = np.full(len(lengths), np.nan)
    threshold[some] = entropy[order[(np.cumsum(lengths) - lengths + k - 1)[some]]]
    return entropy >= threshold[ids]


def _partition(responses: pd.DataFrame, ids: np.ndarray, high: np.ndarray) -> np.ndarray:
    """HTPO's group of every token, 0 where difficulty or correctness is not known."""
    base = np.zeros(len(responses), dtype=np.int16)
    for number, (difficulty, answer) in enumerate(CELLS):
        base[((responses["difficulty"] == difficulty) & (responses["answer"] == answer)).to_numpy()] = 2 * number + 1
    return np.where(base[ids] > 0, base[ids] + high, 0).astype(np.int16)


def _flat(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(float)
