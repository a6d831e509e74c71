"""Environments: a text world answers a policy's actions, turn by turn, in worker processes."""

from htpo.environments.environment import FAILURES, Environment, Observation, TooFewTasks
from htpo.environments.episode import Episode
from htpo.environments.label import ENVIRONMENTS, EnvironmentLabel, is_environment
from htpo.environments.workers import EnvironmentWorkers

__all__ = [
    "ENVIRONMENTS",
    "FAILURES",
    "Environment",
    "EnvironmentLabel",
    "EnvironmentWorkers",
    "Episode",
    "Observation",
    "TooFewTasks",
    "is_environment",
]
