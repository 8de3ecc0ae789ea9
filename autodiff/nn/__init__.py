"""Neural networks: modules that hold parameters and state, losses, containers, initialisation.

The maths is in `autodiff.ops`; `nn.functional` has it under PyTorch's names.
"""

from autodiff.nn import functional, init, modules, parameter, utils
from autodiff.nn.module import Module
from autodiff.nn.modules import *  # noqa: F403
from autodiff.nn.modules import __all__ as _layers
from autodiff.nn.parameter import Parameter

__all__ = ["Module", "Parameter", "functional", "init", "modules", "parameter", "utils", *_layers]
