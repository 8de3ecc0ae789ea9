"""Optimizers and learning-rate schedules. One optimizer a class; its step is one kernel, except for L-BFGS."""

from autodiff.optim import lr_scheduler
from autodiff.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from autodiff.optim.adaptive import Adadelta, Adagrad, RMSprop
from autodiff.optim.lbfgs import LBFGS
from autodiff.optim.optimizer import Optimizer
from autodiff.optim.rprop import Rprop
from autodiff.optim.sgd import ASGD, SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]
