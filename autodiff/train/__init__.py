"""A training loop: progress, history, checkpoints that resume bit for bit, early stopping, curves."""

from autodiff.train.callbacks import Callback, Checkpoint, EarlyStopping
from autodiff.train.trainer import Trainer, accuracy
from autodiff.viz.plots import plot_curves

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "Trainer", "accuracy", "plot_curves"]
