"""TRL engine: `HTPOTrainer` and `HTPOConfig`, from one machine to many through accelerate."""

from htpo.engines.trl.config import HTPOConfig
from htpo.engines.trl.trainer import HTPOTrainer, NonFiniteError

__all__ = ["HTPOConfig", "HTPOTrainer", "NonFiniteError"]
