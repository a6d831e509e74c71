"""What makes two runs of verl the same: its own order of rows and draws depends on which process was faster.

verl's driver loads this module for its `custom_sampler`, before it starts the server.
"""

import zlib
from collections import Counter

import torch
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from htpo.engines.verl.cpu import rollout


class SeededServer(rollout.Server):
    """Draws by a seed of its own for every answer: of the policy's age, the prompt, and how often that was asked."""

    async def load(self, weights, step):
        await super().load(weights, step)
        self.asked = Counter()

    async def generate(self, *, request_id, prompt_ids, sampling_params, **others):
        from verl.workers.rollout.replica import TokenOutput

        asked = (self.step, tuple(prompt_ids))
        self.asked[asked] += 1
        generator = torch.Generator().manual_seed(zlib.crc32(repr((asked, self.asked[asked])).encode()))
        ids, log_probs = torch.tensor([prompt_ids]), []
        while len(log_probs) < self.response_length and (not log_probs or ids[0, -1] not in self.ends):
            with torch.no_grad():
                chances = self.model(ids).logits[0, -1].log_softmax(-1)
            token = torch.multinomial(chances.exp(), 1, generator=generator)
            ids = torch.cat([ids, token[None]], 1)
            log_probs.append(chances[token].item())
        tokens = ids[0, len(prompt_ids) :].tolist()
        extra = {"global_steps": self.step}
        return TokenOutput(token_ids=tokens, log_probs=log_probs, stop_reason="completed", extra_fields=extra)


rollout.Server = SeededServer


class Sorted(ReplayBuffer):
    """verl's sampler, with the rows of a batch in the order of what they hold."""

    def sample(self, *args, **named):
        import transfer_queue as tq

        batch, metrics = super().sample(*args, **named)
        fields = ["prompts", "responses"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        held = [
            [*prompt.tolist(), -1, *response.tolist()] for prompt, response in zip(*(data[name] for name in fields))
        ]
        batch.reorder(sorted(range(len(held)), key=held.__getitem__))
        return batch, metrics
