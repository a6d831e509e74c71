"""Run by torchrun: an update on each process's share of the rollouts; the first process saves what came of it."""

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
    path, name, target = sys.argv[1:]
    start_processes()
    rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    rollouts, objective = make_rollouts(path), make_objective(name)
    rows = list(range(rank, len(rollouts.known), processes))
    fields = {key: value[rows] for key, value in fields_of(objective, rollouts).items()}
    data = verl_batch(rollouts.rows(rows), "dynamic", **fields)
    gradient, metrics = train_once(start_worker(path, "dynamic"), loss_of(objective), data)
    if rank == 0:
        stats = read_sums({key: values[0] for key, values in metrics.items() if isinstance(values, list)})
        torch.save({"processes": processes, "gradient": gradient, "stats": stats}, target)
