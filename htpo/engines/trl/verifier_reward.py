"""A task's verifier as a TRL reward function."""

from collections.abc import Callable
from typing import Any

from htpo.tasks.task import Verifier


class VerifierReward:
    """Reward 1.0 for a correct response, 0.0 otherwise; logs the share of responses that the verifier failed on."""

    __name__ = "correct"

    def __init__(self, verifier: Verifier, columns: list[str]):
        self.verifier = verifier
        self.columns = [name for name in columns if name != "prompt"]

    def __call__(
        self, prompts: list, completions: list, log_metric: Callable[[str, float], None], **given: Any
    ) -> list[float]:
        texts = [completion if isinstance(completion, str) else _last_text(completion) for completion in completions]
        rows = [
            {"prompt": prompt, **{name: given[name][index] for name in self.columns}}
            for index, prompt in enumerate(prompts)
        ]
        verdicts = self.verifier.judge(texts, rows)
        for kind in ("timeout", "crash", "unparsable"):
            log_metric(f"verifier/{kind}_share", sum(v.failure == kind for v in verdicts) / len(verdicts))
        return [float(verdict.correct) for verdict in verdicts]


def _last_text(messages: list[dict[str, Any]]) -> str:
    content = messages[-1]["content"] if messages else ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])
