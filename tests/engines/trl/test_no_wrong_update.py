"""What an update must not be made of."""

import pytest
import torch

from htpo.engines.trl import NonFiniteError
from tests.engines.tiny import config, trainer


def weights(host) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in host.model.parameters()])


@pytest.mark.parametrize("max_grad_norm", [1.0, 0.0])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_stops_the_run_before_the_update(tiny_model, tmp_path, bad, max_grad_norm):
    host = trainer(tiny_model, config(tmp_path, max_grad_norm=max_grad_norm))
    before = weights(host)
    next(host.model.parameters()).register_hook(lambda gradient: gradient * bad)
    with pytest.raises(NonFiniteError, match=r"step 1: the gradient's norm is (nan|inf)\. No update was made of it"):
        host.train()
    assert torch.equal(weights(host), before)


def test_a_batch_whose_groups_are_all_dropped_leaves_the_policy_as_it_was(tiny_model, tmp_path):
    """Also by momentum, from the batch before, and by weight decay."""
    seen = []

    def right_at_first(completions, **kwargs):
        return [float(len(seen) == 0 and index % 2) for index, _ in enumerate(completions)]

    options = {"max_steps": 4, "weight_decay": 0.1, "max_generation_rounds": 1, "lr_scheduler_type": "constant"}
    host = trainer(tiny_model, config(tmp_path, **options), right_at_first)
    step = host._get_grad_norm
    host._get_grad_norm = lambda *given, **named: (seen.append(weights(host)), step(*given, **named))[1]
    host.train()
    filled = [log["sampling/filled_share"] for log in host.state.log_history[:4]]
    assert filled == [1, 1, 0, 0]
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert torch.equal(seen[3], weights(host))
