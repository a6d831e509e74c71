"""The sampling policy's entropy of every token, from the forward pass that gives its log-probabilities."""

from typing import Any

from torch import Tensor

from htpo.engines.trl.contract import refuse_host
from htpo.engines.trl.playing import PlayedEpisodes

OLD_LOG_PROB = "old_per_token_logps"  # among the host's tensors; absent while the policy is the one that sampled
OLD_ENTROPY = "old_entropy"  # beside it, (B, T) nats, with `entropy_of: old`


class SamplingEntropy(PlayedEpisodes):
    """A trainer whose batches hold `OLD_ENTROPY` with `args.entropy_of` "old".

    The host scores a batch once it is sampled, also where vLLM has sampled it, and its head gives entropies in the same
    pass: both are the training model's. A host that makes one update of each batch does not score it. The policy in
    training then is the one that sampled, and nothing needs to be stored.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self._scored: list[tuple[Tensor, Tensor]] | None = None  # what the host scores while it makes a batch
        super().__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.args.entropy_of != "old":
            return super()._generate_and_score_completions(inputs)
        scored: list[tuple[Tensor, Tensor]] = []
        self._scored = scored
        try:
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self._scored = None
        if OLD_LOG_PROB in batch:
            found = [entropy for log_prob, entropy in scored if log_prob is batch[OLD_LOG_PROB]]
            if len(found) != 1:
                refuse_host("its old log-probabilities are not those of a forward pass of the policy")
            batch[OLD_ENTROPY] = found[0]
        return batch

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        if self._scored is None or model is not self.model:
            return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        scores = super()._get_per_token_logps_and_entropies(model, *args, **{**kwargs, "compute_entropy": True})
        self._scored.append((scores[0], scores[1]))
        return scores
