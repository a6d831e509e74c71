"""A rollout for verl on the CPU: a server that samples by transformers, and gets the policy after every update."""

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from htpo.engines.verl.cpu.sampling import Sampling, sample_tokens
from htpo.evaluate import end_tokens, load_model

NAME = "transformers"
GATHER = 0.02  # seconds in which requests come together
LARGEST = 256  # requests answered at once
BROKEN_OFF = "aborted"  # verl's word for an answer of which it asks the rest again


class Server:
    """Answers requests, those together that wait at the same time and want the same sampling.

    Args:
        path: folder of the model whose weights it has until others come.
        tokenizer: names tokens that end an answer.
        prompt_length, response_length: tokens at most; an answer gets what its prompt leaves of the two, too.
        seed: with the number of updates it fixes the random state; which requests come together is up to Ray.
    """

    def __init__(self, path: str, tokenizer: Any, prompt_length: int, response_length: int, seed: int):
        self.model = load_model(path, dtype=torch.float32).eval()
        self.ends = end_tokens(self.model, tokenizer)
        self.prompt_length, self.response_length = prompt_length, response_length
        self.seed, self.step = seed, 0
        self.waiting: dict[Sampling, list[tuple[Sequence[int], asyncio.Future[Any]]]] = {}
        self.answering: asyncio.Task[None] | None = None
        self.busy = asyncio.Lock()  # weights do not change within an answer
        self.going = asyncio.Event()  # not while the policy is elsewhere, being trained or sent
        self.going.set()
        self.rejecting = False  # what is asked meanwhile
        torch.manual_seed(seed)

    async def load(self, weights: dict[str, Tensor], step: int | None) -> None:
        """Take over a policy, and the number of updates it has had."""
        async with self.busy:
            lacking, unknown = self.model.load_state_dict(weights, strict=False)
            own = {name for name, _ in self.model.named_parameters()}  # a weight used twice has one name here
            wrong = own.intersection(lacking).union(unknown)
            if wrong:
                raise RuntimeError(f"the policy in training has other weights than the one that samples: {wrong}")
            self.step = step or 0
            torch.manual_seed(self.seed + self.step)

    async def generate(
        self, *, request_id: str, prompt_ids: Sequence[int], sampling_params: dict[str, Any], **others: Any
    ) -> Any:
        """A `TokenOutput` of verl's."""
        from verl.workers.rollout.replica import TokenOutput

        limit = min(self.response_length, self.prompt_length + self.response_length - len(prompt_ids))
        sampling = Sampling.read(sampling_params, limit)
        if not self.going.is_set():
            if self.rejecting:
                return TokenOutput(
                    token_ids=[], log_probs=[], stop_reason=BROKEN_OFF, extra_fields={"global_steps": self.step}
                )
            await self.going.wait()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(sampling, []).append((prompt_ids, answer))
        if self.answering is None or self.answering.done():
            self.answering = asyncio.create_task(self._answer())
        tokens, log_probs, step = await answer
        reason = "completed" if sampling.is_finished(tokens, self.ends) else BROKEN_OFF
        return TokenOutput(
            token_ids=tokens, log_probs=log_probs, stop_reason=reason, extra_fields={"global_steps": step}
        )

    async def _answer(self) -> None:
        while self.waiting:
            await asyncio.sleep(GATHER)
            sampling = next(iter(self.waiting))
            waiting = self.waiting.pop(sampling)
            asked, rest = waiting[:LARGEST], waiting[LARGEST:]
            if rest:
                self.waiting[sampling] = rest
            prompts = [prompt for prompt, _ in asked]
            try:
                async with self.busy:
                    drawn = await asyncio.to_thread(
                        sample_tokens, self.model, prompts, sampling, self.ends, self.ends[0], self._stopped
                    )
                    step = self.step
            except Exception as error:
                for _, answer in asked:
                    answer.set_exception(error)
                continue
            for (_, answer), (tokens, log_probs) in zip(asked, drawn, strict=True):
                answer.set_result((tokens, log_probs, step))

    def _stopped(self) -> bool:
        return not self.going.is_set()

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        """Give all answers back as far as they are, for verl to ask for the rest later, and begin none until
        `resume_generation`."""
        self.rejecting = reject_request
        self.going.clear()
        for _, answer in [asked for waiting in self.waiting.values() for asked in waiting]:
            answer.set_result(([], [], self.step))
        self.waiting.clear()
        async with self.busy:  # which has broken off
            pass

    async def resume_generation(self) -> None:
        """Answer again."""
        self.rejecting = False
        self.going.set()

    async def nothing(self, **others: Any) -> None:
        """What a server on a GPU does about its memory."""

    wake_up = sleep = clear_kv_cache = release_kv_cache = resume_kv_cache = nothing


def server_name(replica: int) -> str:
    """Under which Ray knows a server."""
    return f"transformers_server_{replica}"


class Rollout:
    """What is beside a server, in the training worker or apart from it: it sends the weights on."""

    def __init__(
        self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int | None = None, **others: Any
    ):
        self.replica = int(os.environ["RANK"]) if replica_rank is None else replica_rank

    async def resume(self, tags: list[str]) -> None:
        """Nothing was let go of."""

    async def release(self) -> None:
        """There is no memory of a GPU to let go of."""

    async def update_weights(
        self, weights: Iterable[tuple[str, Tensor]], global_steps: int | None = None, **others: Any
    ) -> None:
        """Have the server take them over; they may be sharded over processes."""
        import ray
        from verl.workers.rollout.utils import ensure_async_iterator

        state = {name: whole(x) async for name, x in ensure_async_iterator(weights)}
        server = ray.get_actor(server_name(self.replica))
        await asyncio.wrap_future(server.load.remote(state, global_steps).future())


def whole(weight: Tensor) -> Tensor:
    """A copy on the CPU of a weight that may be sharded over processes."""
    return getattr(weight, "full_tensor", lambda: weight)().detach().cpu().clone()


def register() -> None:
    """Make the rollout known to verl."""
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    base._ROLLOUT_REGISTRY[NAME, "async"] = f"{__name__}.{Rollout.__name__}"
    RolloutReplicaRegistry.register(NAME, _replica)


def _replica() -> type:
    import ray
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.config import HFModelConfig
    from verl.workers.rollout.replica import RolloutReplica

    class Replica(RolloutReplica):
        async def launch_servers(self) -> None:
            """One server for each process that trains."""
            if self.world_size != 1:
                raise ValueError("sampling by transformers needs rollout.tensor_model_parallel_size=1")
            model = omega_conf_to_dataclass(self.model_config, dataclass_type=HFModelConfig)
            actor = ray.remote(num_cpus=0, max_concurrency=self.max_concurrency)(Server)
            self._server_handle = actor.options(name=server_name(self.replica_rank)).remote(
                model.local_path,
                model.tokenizer,
                self.config.prompt_length,
                self.config.response_length,
                self.config.seed + self.replica_rank,
            )
            self._server_address = server_name(self.replica_rank)  # by which verl tells servers apart
            self.servers = [self._server_handle]

    return Replica
