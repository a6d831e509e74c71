"""Objectives under `torch.compile`: one graph each, which gives what they give without."""

import pytest
import torch

from htpo.objectives import OBJECTIVES, make_objective, token_mean
from tests.objectives.samples import random_batch

SCOPES = [("htpo", {"entropy_scope": scope}) for scope in ("batch", "turn")]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in OBJECTIVES), *SCOPES])
def test_an_objective_is_one_graph_and_the_same_function(name, options):
    objective = make_objective(name, **options)
    batch = random_batch(0, [7, 0, 1, 12], turns=3)

    def loss(batch):
        return token_mean(objective(batch).value, batch.mask)

    torch.compiler.reset()
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch), loss(batch), rtol=1e-12, atol=0)
