"""Run by torchrun: with each objective an update on each process's share of the rollouts; the first saves them."""

import sys

import torch

from htpo.engines.verl.loss import read_sums
from htpo.objectives import make_objective
from tests.engines.verl.worker import (
    fields_of,
    loss_of,
    make_rollouts,
    start_processes,
    start_worker,
    train_once,
    verl_batch,
)

if __name__ == "__main__":
    path, target, *names = sys.argv[1:]
    start_processes()
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    rollouts, worker, steps = make_rollouts(path), start_worker(path, "dynamic"), {}
    rows = list(range(rank, len(rollouts.known), processes))
    for name in names:
        objective = make_objective(name)
        fields = {key: value[rows] for key, value in fields_of(objective, rollouts).items()}
        data = verl_batch(rollouts.rows(rows), "dynamic", **fields)
        gradient, metrics = train_once(worker, loss_of(objective), data)
        stats = read_sums({key: values[0] for key, values in metrics.items() if isinstance(values, list)})
        steps[name] = {"processes": processes, "gradient": gradient, "stats": stats}
    if rank == 0:
        torch.save(steps, target)
