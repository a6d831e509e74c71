"""A round: answers to some prompts, what each is worth, and whether a prompt's answers teach anything."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from trl.rewards import get_soft_overlong_punishment

from htpo.engines.handover import Handover
from htpo.engines.judging import Judge, Judgement
from htpo.engines.rewards import Scores, by_threshold, score, without_signal
from htpo.engines.trl.config import HTPOConfig
from htpo.engines.trl.judgements import JUDGEMENT, pack
from htpo.engines.trl.prompts import PROMPT_ID, ROW_NUMBER
from htpo.engines.trl.sampling_entropy import SamplingEntropy
from htpo.engines.trl.token_batch import policy_mask
from htpo.errors import UserError
from htpo.evaluate import end_tokens
from htpo.objectives import TableObjective, group_relative_advantage
from htpo.objectives.axes import Entropy, Position

logger = logging.getLogger(__name__)

VERDICTS = {-1.0, 0.0, 1.0}  # what a reward that says right or wrong consists of


@dataclass(frozen=True)
class Judged:
    """What was said of a round's N responses over all processes."""

    rewards: Tensor  # (N, F) float, of each reward function; NaN where it gave none, or the response is unscored
    scored: Tensor  # (N,) bool: there is a verdict
    correct: Tensor  # (N,) bool
    cut_off: Tensor  # (N,) bool: the length limit ended it
    length: Tensor  # (N,) int: tokens of the response, of an episode with what the environment wrote
    judgements: list[Judgement] | None  # of this process's responses; None without a verifier


@dataclass(frozen=True)
class Round:
    """What a round gave."""

    batch: dict[str, Any]  # the host's, of this process, and what was said of each response
    scores: Scores  # over all processes
    length: Tensor  # (N,) int: tokens of each response, over all processes
    reasons: list[str | None]  # for each prompt, over all processes, why its answers carry no signal; None: they do


class JudgedRounds(SamplingEntropy):
    """A trainer whose batches know what is correct, and leave out what could not be scored; see `HTPOTrainer`."""

    objective: TableObjective

    def __init__(self, model: Any, reward_funcs: Any, args: HTPOConfig, *, judge: Judge | None, **kwargs: Any):
        self.judge = judge
        self._judging: Handover[None, Judged] = Handover("what a round's responses are worth")
        self._said: set[str] = set()
        functions = list(reward_funcs) if isinstance(reward_funcs, list | tuple) else [reward_funcs]
        given_weights = args.reward_weights
        if given_weights is not None and len(given_weights) != len(functions):
            raise UserError(
                f"reward_weights has {len(given_weights)} numbers, needs one for each of the {len(functions)} "
                "reward functions"
            )
        shaping = []
        if args.overlong_buffer:
            shaping = [len(functions)]
            functions.append(get_soft_overlong_punishment(args.max_completion_length, args.overlong_buffer))
            args.reward_weights = [*(given_weights or [1.0] * (len(functions) - 1)), args.overlong_factor]
        self._shaping = shaping  # columns of the reward functions that shape the reward by length
        try:
            super().__init__(model, functions, args, **kwargs)
        finally:
            args.reward_weights = given_weights
        self._correctness = [] if judge else self._find_correctness()
        self._end_responses_alike()

    def _find_correctness(self) -> list[int]:
        """Columns of the reward functions that judge correctness."""
        given = self.reward_func_names[: len(self.reward_func_names) - len(self._shaping)]
        named = self.args.correctness_reward
        if named is None and len(given) > 1:
            if self._reads_correctness():
                raise UserError(
                    f"which of the reward functions {', '.join(given)} judges correctness? Name it in "
                    "correctness_reward (several, if each judges its own kind of task and returns None for the others)"
                )
            self._say_once(f"{given[0]!r} is taken to judge correctness; name another in correctness_reward")
        names = named or given[:1]
        for name in names:
            if name not in given:
                raise UserError(f"correctness_reward {name!r} is not one of the reward functions {given}")
            if named and given.count(name) > 1:
                raise UserError(f"correctness_reward {name!r} is the name of several reward functions: rename them")
        return [given.index(name) for name in names]

    def _reads_correctness(self) -> bool:
        """Whether more than a logged number depends on it; axes of the user's own may read it."""
        by_correctness = self.args.dynamic_sampling and self.args.dynamic_sampling_signal == "correctness"
        return by_correctness or any(not isinstance(axis, Entropy | Position) for axis in self.objective.axes)

    def _end_responses_alike(self) -> None:
        """Responses end at the same tokens in sampling, TRL's counts, held-out measurement and the saved model.

        The host overwrites the model config's end token by the tokenizer's; the generation config keeps them all.
        """
        if self._tokenizer.pad_token_id is None:  # the host pads with the end token, and here there is none either
            raise UserError("the tokenizer has neither a padding token nor an end token: set its pad_token")
        model = self.accelerator.unwrap_model(self.model)
        self.eos_token_ids = end_tokens(model, self._tokenizer)
        model.generation_config.eos_token_id = self.eos_token_ids
        if self.use_vllm:
            self.vllm_generation.generation_kwargs["stop_token_ids"] = self.eos_token_ids
        else:
            self.generation_config.eos_token_id = self.generation_kwargs["eos_token_id"] = self.eos_token_ids

    def _say_once(self, message: str, key: str | None = None) -> None:
        key = key or message
        if key not in self._said and self.accelerator.is_main_process:
            self._said.add(key)
            logger.warning(message + " This is said once.")

    # --- what is said of responses ---------------------------------------------------------------------------------

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: Any
    ) -> Tensor:
        finished = self._finished(completion_ids_list)
        judgements = None
        if self.judge is not None:
            judgements = self.judge(inputs, list(map(_text, completions)), finished)
            inputs = [{**row, "verdict": said.verdict} for row, said in zip(inputs, judgements, strict=True)]
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        rewards = torch.where(rewards.isfinite(), rewards, torch.nan)  # one infinite reward would spoil every mean
        cut_off = [not ended for ended in finished]
        if judgements is None:
            (everywhere_cut_off,) = self._over_processes(cut_off)
            scored, correct = self._by_threshold(rewards)
        else:
            everywhere_cut_off, scored, correct = self._over_processes(
                cut_off,
                [said.verdict.reward is not None for said in judgements],
                [said.verdict.correct for said in judgements],
            )
        # The host leaves out of every mean, and gives no advantage to, what no function has scored.
        rewards = rewards.masked_fill(~scored.unsqueeze(1), torch.nan)
        if self._judging.call is not None:
            length = torch.tensor([len(ids) for ids in completion_ids_list], device=self.accelerator.device)
            everywhere = self.accelerator.gather(length)
            self._judging.call.left.append(Judged(rewards, scored, correct, everywhere_cut_off, everywhere, judgements))
        return rewards

    def _finished(self, completion_ids: list[list[int]]) -> list[bool]:
        """Of this process's responses, which end in an end token. An environment's own need not."""
        if self.rollout_func is not None or self.tools:
            return [True] * len(completion_ids)
        return [bool(ids) and ids[-1] in self.eos_token_ids for ids in completion_ids]

    def _over_processes(self, *flags: list[bool]) -> tuple[Tensor, ...]:
        """Each list of this process's responses as (N,) bool over all processes."""
        together = torch.tensor(flags, device=self.accelerator.device).T.contiguous()
        return self.accelerator.gather(together).unbind(1)

    def _by_threshold(self, rewards: Tensor) -> tuple[Tensor, Tensor]:
        threshold = self.args.correctness_threshold
        judged = rewards[:, self._correctness]
        if threshold is None and not set(judged[judged.isfinite()].tolist()) <= VERDICTS:
            self._say_once(
                f"{self._judges()} gives graded rewards (not only 0 and 1), and a response counts as correct above 0. "
                "If that is not what correct means, set correctness_threshold.",
                key="graded",
            )
        return by_threshold(judged, threshold or 0.0)

    def _judges(self) -> str:
        return " and ".join(repr(self.reward_func_names[column]) for column in self._correctness) or "the verifier"

    # --- a round ---------------------------------------------------------------------------------------------------

    def _generate_round(self, rows: list[dict[str, Any]], group_size: int) -> Round:
        """Have the host answer each row's prompt; the rows of a prompt are contiguous."""
        mode = "train" if self.model.training else "eval"
        asked = [{name: value for name, value in row.items() if name != ROW_NUMBER} for row in rows]
        batch, judged = self._judging.around(None, super()._generate_and_score_completions, asked)
        scores = score(
            judged.rewards,
            self.reward_weights.to(judged.rewards.device),
            group_size,
            scored=judged.scored,
            correct=judged.correct,
            shaping=self._shaping,
        )
        start = self.accelerator.process_index * len(rows)
        local = slice(start, start + len(rows))
        batch |= {
            "correct": scores.correct[local],
            "group_accuracy": scores.group_accuracy[local],
            "reward": scores.reward[local],
            PROMPT_ID: self._prompt_numbers(rows),
            JUDGEMENT: pack(judged.judgements or [None] * len(rows), batch["completion_ids"].device),
        }
        if (
            self.scale_rewards == "group"
            and self.multi_objective_aggregation == "sum_then_normalize"
            and group_size > 1
        ):
            # TRL divides by std + 1e-4; the paper by std + 1e-6.
            advantage = group_relative_advantage(scores.reward, group_size, scored=scores.scored)
            batch["advantages"] = advantage[local]
        self._leave_out_unscored(batch, scores, local)
        self._metrics[mode]["unscored_share"].append(1 - scores.scored.float().mean().item())
        reasons = without_signal(scores, group_size, self.args.dynamic_sampling_signal, judged.cut_off)
        if self.mask_truncated_completions:  # then what is cut off is not trained on
            nothing_left = judged.cut_off.view(-1, group_size).all(1).tolist()
            reasons = ["cut_off" if empty else reason for empty, reason in zip(nothing_left, reasons)]
        return Round(batch, scores, judged.length, reasons)

    def _leave_out_unscored(self, batch: dict[str, Any], scores: Scores, local: slice) -> None:
        """Tokens of responses without a verdict belong to no group and enter no count."""
        unscored = ~scores.scored
        if not unscored.any():
            return
        self._say_once(
            f"{int(unscored.sum())} of {len(unscored)} responses have no verdict: {self._judges()} returned None or a "
            "number that is not finite. They are left out of training; their share is logged as unscored_share.",
            key="unscored",
        )
        for name in ("completion_mask", "tool_mask"):
            if name in batch:
                batch[name] = batch[name].masked_fill(unscored[local].unsqueeze(1), 0)
        batch["num_items_in_batch"] = self.accelerator.reduce(policy_mask(batch).sum(), reduction="sum")


def _text(completion: str | list[dict[str, Any]]) -> str:
    """What the policy wrote last, of a text or a conversation."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])
