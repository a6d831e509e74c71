"""What a run's records show: figures and the data behind them."""

from htpo.analysis.training_figure import draw_training_figure

__all__ = ["draw_training_figure"]
