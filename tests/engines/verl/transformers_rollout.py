"""A rollout for verl on the CPU: a server that samples with transformers, and gets the policy after every update."""

import asyncio

import ray
import torch
from transformers import AutoModelForCausalLM
from verl.workers.rollout import base
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

SERVER = "transformers_server"


@ray.remote(num_cpus=0)
class Server:
    def __init__(self, path: str):
        self.model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        self.step = 0

    async def load(self, weights: dict, step: int | None):
        self.model.load_state_dict(weights, strict=False)
        self.step = step or 0

    async def generate(self, *, request_id, prompt_ids, sampling_params, **kwargs) -> TokenOutput:
        ids = torch.tensor([prompt_ids])
        limit = sampling_params.get("max_tokens") or sampling_params.get("max_new_tokens") or 12
        with torch.no_grad():
            out = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                top_k=0,
                max_new_tokens=limit,
                return_dict_in_generate=True,
                output_logits=True,
            )
        tokens = out.sequences[:, len(prompt_ids) :]
        log_probs = torch.stack(out.logits, 1).log_softmax(-1).gather(2, tokens.unsqueeze(2))
        return TokenOutput(
            token_ids=tokens[0].tolist(),
            log_probs=log_probs.flatten().tolist(),
            stop_reason="completed",
            extra_fields={"global_steps": self.step},
        )

    async def nothing(self, **kwargs):
        pass

    wake_up = sleep = abort_all_requests = resume_generation = clear_kv_cache = nothing


class Replica(RolloutReplica):
    async def launch_servers(self):
        self._server_handle = Server.options(name=SERVER).remote(self.model_config.path)
        self._server_address = "local"
        self.servers = [self._server_handle]


class Rollout(base.BaseRollout):
    """What is in the training worker: it sends the weights on."""

    async def resume(self, tags):
        pass

    async def release(self):
        pass

    async def update_weights(self, weights, wire_format="named_tensors", global_steps=None, **kwargs):
        state = {name: getattr(x, "full_tensor", lambda x=x: x)().detach().cpu().clone() for name, x in weights}
        server = ray.get_actor(SERVER)
        await asyncio.wrap_future(server.load.remote(state, global_steps).future())


base._ROLLOUT_REGISTRY["transformers", "async"] = f"{__name__}.Rollout"
RolloutReplicaRegistry.register("transformers", lambda: Replica)
