"""`Parameter`: the tensors that a module learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.creation import dtype_of
from autodiff.devices import check_device
from autodiff.eager import Tensor, wrap
from autodiff.thread_mode import MODE


class Parameter(Tensor):
    """A tensor that a `Module` lists among its parameters when it is assigned as an attribute.

    Args:
        data: tensor whose memory the parameter takes over.
        requires_grad: collect gradients here.

    >>> import autodiff as ad
    >>> ad.nn.Parameter(ad.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        source = Tensor() if data is None else data
        if MODE.recorder is not None:
            MODE.recorder.replaced(self, source)
        self.array = source.array
        self.spec = source.spec
        self.memory = source.memory
        self.memory.shared = True
        self.requires_grad_(requires_grad)


def uninitialised(*shape: int, dtype: Any = None, device: Any = None) -> Parameter:
    """Return a parameter of this shape whose numbers are yet to be written: what layers are made of.

    Raises:
        DTypeError: for a dtype that is not supported, or a device that is not the CPU.

    >>> from autodiff.nn.parameter import uninitialised
    >>> uninitialised(2, 3).shape
    (2, 3)
    """
    check_device(device)
    return Parameter(wrap(np.empty(shape, dtype_of(dtype))))
