"""Reverse-mode automatic differentiation with graph tracing: a PyTorch-like API on NumPy and Numba.

Operations come from `autodiff.ops`, each of whose files lists its public names in `__all__`. The larger packages (`nn`,
`optim`, ...) are imported when they are first used.
"""

from __future__ import annotations

import importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any

from autodiff import autograd, backends, cuda
from autodiff.allocation import keep_freed_memory
from autodiff.autograd import (
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from autodiff.compiler.function import compile
from autodiff.conversion import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    is_floating_point,
    is_tensor,
    numel,
)
from autodiff.creation import (
    arange,
    as_tensor,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    get_rng_state,
    linspace,
    logspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    set_rng_state,
    tensor,
    zeros,
    zeros_like,
)
from autodiff.devices import device
from autodiff.dtypes import (
    bool,
    channels_last,
    contiguous_format,
    double,
    dtype,
    finfo,
    float,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int,
    int8,
    int16,
    int32,
    int64,
    long,
    memory_format,
    preserve_format,
    set_default_dtype,
    short,
    uint8,
)
from autodiff.eager import Tensor
from autodiff.measuring import measure
from autodiff.ops import *  # noqa: F403
from autodiff.random import Generator, initial_seed, manual_seed, seed
from autodiff.recording import record
from autodiff.representation import set_printoptions
from autodiff.serialization import load, save
from autodiff.threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from autodiff import distributions, linalg, nn, optim, special, utils

Size: type = tuple

__version__ = "0.1.0"

_ON_FIRST_USE = frozenset({"distributions", "linalg", "nn", "optim", "special", "utils", "viz"})

__all__ = [
    "Tensor", "Size", "is_tensor", "is_floating_point", "numel",
    # dtypes, devices and layouts
    "float32", "float", "float64", "double", "int64", "long", "int32", "int", "int16", "short", "int8", "uint8", "bool",
    "dtype", "finfo", "iinfo", "get_default_dtype", "set_default_dtype", "device", "cuda", "backends",
    "memory_format", "channels_last", "contiguous_format", "preserve_format",
    # new tensors
    "tensor", "as_tensor", "from_numpy", "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like",
    "empty_like",
    "arange", "linspace", "logspace", "eye", "FloatTensor", "DoubleTensor", "LongTensor", "IntTensor", "ShortTensor",
    "CharTensor",
    "ByteTensor", "BoolTensor",
    # random numbers
    "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli",
    "multinomial",
    "Generator", "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state",
    # gradients
    "autograd", "no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled", "inference_mode",
    "is_anomaly_enabled",
    # whole steps
    "compile",
    # threads
    "get_num_threads", "set_num_threads",
    # everything that runs, as a program
    "measure", "record",
    # files, printing, numbers, packages
    "save", "load", "set_printoptions", "e", "inf", "nan", "pi", "distributions", "linalg", "nn", "optim",
    "special", "utils",
]

keep_freed_memory()


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"autodiff.{name}")
    raise AttributeError(f"module 'autodiff' has no attribute '{name}'")
