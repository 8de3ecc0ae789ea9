"""Optimizers and learning-rate schedules. One optimizer a class; its arithmetic is one kernel over all parameters."""

from autodiff.optim import lr_scheduler
from autodiff.optim.adaptive import Adadelta, Adagrad, Adam, AdamW, RMSprop
from autodiff.optim.optimizer import Optimizer
from autodiff.optim.rprop import Rprop
from autodiff.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "Rprop", "lr_scheduler"]
