"""A training loop: progress, history, checkpoints that resume bit for bit, early stopping, curves."""

from autodiff.train.callbacks import Callback, Checkpoint, EarlyStopping
from autodiff.train.curves import plot_curves
from autodiff.train.trainer import Trainer, accuracy

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "Trainer", "accuracy", "plot_curves"]
