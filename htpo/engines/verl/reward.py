"""Our verifiers as verl's reward: `reward.reward_manager.name=htpo`.

verl hands a reward function neither token ids nor its configuration, so that a function cannot tell a response that was
cut off at the length limit. A reward manager is given both; ours is verl's own of DAPO, with its overlong buffer,
around a function that asks the verifier.
"""

import atexit
import math
from collections.abc import Sequence
from typing import Any

from htpo.engines.verl.nodes import share_cores
from htpo.engines.verl.row_verdicts import RowVerdicts
from htpo.evaluate.generators.end_tokens import published_end_tokens
from htpo.playing.verdicts import EPISODE
from htpo.runs.rollouts import LONGEST_TEXT
from htpo.verifiers.verdict import Verdict

REWARD_MANAGER = "htpo"
"""Name among verl's reward managers."""
ASKED = "htpo"
"""Key of `extra_info` under which the manager tells its function what verl's interface leaves out."""

POLICY_TOKENS = "policy_tokens"
"""What is said of an episode, of which the environment's are no tokens of the policy."""

_Host: Any = object  # in use, verl's manager of DAPO comes after the mixin


class NoVerdict(RuntimeError):
    """The verifier gave none. verl leaves the response out of training then, and counts it as wrong in validation."""


class VerifierReward(_Host):
    """A mixin before verl's reward manager of DAPO, in each of verl's reward workers."""

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, *args: Any, **options: Any):
        from verl.utils.fs import copy_to_local

        super().__init__(config, tokenizer, compute_score, *args, **options)
        self.compute_score, self.is_async_reward_score = self._score, True
        rollout, model = config.actor_rollout_ref.rollout, config.actor_rollout_ref.model
        self.limits = rollout.response_length, rollout.get("max_model_len") or math.inf
        self.end_tokens = published_end_tokens(
            copy_to_local(model.path), tokenizer, trust_remote_code=bool(model.get("trust_remote_code"))
        )
        share_cores(config.reward.num_workers)
        self.verdicts = RowVerdicts(config.get("htpo") or {})
        atexit.register(self.verdicts.close)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The reward of a session by its last response, shaped by length as verl does it, and `said` of it.

        An episode brings its verdict with it (see `agent_loop`).

        Raises:
            NoVerdict: there is none.
            UserError: see `RowVerdicts`.
        """
        import numpy as np
        import torch
        from tensordict import TensorDict
        from verl import DataProto

        last = data[-1:]
        row = {name: values[0] for name, values in last.non_tensor_batch.items()}
        prompt, response = last.batch["prompts"][0], last.batch["responses"][0]
        if "response_len" in row:  # outputs of a session are padded to its longest
            prompt, response = prompt[: row["prompt_len"]], response[: row["response_len"]]
        told = {
            "row": row,
            "sent": self.tokenizer.decode(prompt),
            "finished": is_finished(len(prompt), response.tolist(), self.limits, self.end_tokens),
        }
        tensors = {
            "prompts": prompt[None],
            "responses": response[None],
            "attention_mask": torch.ones(1, len(prompt) + len(response), dtype=torch.long),
        }
        extra_info = np.empty(1, dtype=object)
        extra_info[0] = {ASKED: told}
        columns = {**last.non_tensor_batch, "extra_info": extra_info}
        rewarded: dict[str, Any] = await super().run_single(DataProto(TensorDict(tensors, batch_size=1), columns))
        return rewarded | {"reward_score": float(rewarded["reward_score"])}

    async def _score(self, *, solution_str: str, extra_info: dict[str, Any], **others: Any) -> dict[str, Any]:
        told = extra_info[ASKED]
        played = (told["row"].get("tool_extra_fields") or {}).get(EPISODE)
        if played is not None:
            counted = {name: played["measured"][name] for name in ("turns", "invalid_actions")}
            return said(Verdict(**played["verdict"])) | counted | {POLICY_TOKENS: played[POLICY_TOKENS]}
        if not told["finished"]:
            return said(Verdict(False, failure="truncated"))
        return said(await self.verdicts(solution_str, told["row"], told["sent"]))


def said(verdict: Verdict) -> dict[str, Any]:
    """What verl keeps of a verdict, the same keys for every one: `score`, the reward; `acc`, whether it is correct (1
    or 0); `answer`, what was judged; `failure`, a key of `FAILURES`; `finished`, whether it ended by itself.

    Raises:
        NoVerdict: it is none.
    """
    if verdict.reward is None:
        raise NoVerdict("a verifier gave no verdict: the response is left out of training, and wrong in validation")
    answer = verdict.extracted
    if answer is not None and len(answer) > LONGEST_TEXT:
        answer = answer[: LONGEST_TEXT - 1] + "…"
    return {
        "score": verdict.reward,
        "acc": float(verdict.correct),
        "answer": answer,
        "failure": verdict.failure,
        "finished": verdict.failure != "truncated",
    }


def is_finished(
    prompt_length: int, response: Sequence[int], limits: tuple[float, float], end_tokens: Sequence[int]
) -> bool:
    """Whether a response ended by itself: by an end token, or before a length limit.

    Engines may leave the end token out, and verl keeps no reason why they stopped: one that fills its room without an
    end token counts as cut.

    Args:
        prompt_length: tokens of the prompt.
        response: token ids.
        limits: most tokens of a response, and of prompt and response together.
        end_tokens: ids.
    """
    of_response, of_both = limits
    full = len(response) >= of_response or prompt_length + len(response) >= of_both
    return not full or (len(response) > 0 and response[-1] in end_tokens)
