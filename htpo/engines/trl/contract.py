"""What we lean on in TRL, checked when a trainer is made: a new TRL fails with a message, not with wrong losses."""

import inspect

import trl
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

NEEDED_PARAMETERS = {
    GRPOTrainer._compute_loss: ["model", "inputs"],
    GRPOTrainer._get_per_token_logps_and_entropies: ["model", "compute_entropy"],
    GRPOTrainer._generate_and_score_completions: ["inputs"],
    GRPOTrainer._calculate_rewards: ["inputs", "prompts", "completions", "completion_ids_list"],
    GRPOTrainer._prepare_inputs: ["generation_batch"],
    GRPOTrainer._get_train_sampler: ["dataset"],
    RepeatSampler.__init__: ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"],
}
"""Methods we override or call, with the parameters we use."""

NEEDED_IN_LOSS = {
    'inputs["advantages"]': "read the advantage from the inputs",
    'inputs.get("old_per_token_logps")': "read the old log-probabilities from the inputs",
    "torch.clamp(coef_1, 1 - self.epsilon_low, 1 + self.epsilon_high)": "clip by epsilon_low and epsilon_high alone",
    "torch.min(per_token_loss1, per_token_loss2)": "take the smaller of the clipped and the unclipped objective",
    'inputs["num_items_in_batch"]': "normalise by the token count in the inputs",
    'self._metrics[mode]["entropy"]': "log the entropy under that name",
    "self.current_gradient_accumulation_steps": "scale for gradient accumulation",
}
"""What `_compute_loss` must still do, by the expression it does it with."""


def check_trl() -> None:
    """Raise RuntimeError, naming every difference, unless the installed TRL is one the engine works with."""
    problems = []
    for method, needed in NEEDED_PARAMETERS.items():
        missing = set(needed) - set(inspect.signature(method).parameters)
        if missing:
            problems.append(f"{method.__qualname__} no longer takes {', '.join(sorted(missing))}")
    loss = inspect.getsource(GRPOTrainer._compute_loss)
    problems += [f"_compute_loss does not {what} ({code})" for code, what in NEEDED_IN_LOSS.items() if code not in loss]
    forward, advantage = loss.find("self._get_per_token_logps_and_entropies("), loss.find('inputs["advantages"]')
    if not 0 <= forward < advantage:
        problems.append("_compute_loss no longer reads the advantage after the forward pass")
    if problems:
        raise RuntimeError(f"htpo does not work with TRL {trl.__version__}: " + "; ".join(problems))
