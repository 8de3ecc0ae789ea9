"""`Variable`: what tensors that take part in differentiation were called in PyTorch before version 0.4."""

from __future__ import annotations

from typing import Any

from autodiff.eager import Tensor


class _EveryTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_EveryTensor):
    """A tensor on the memory of another one; every tensor is an instance.

    Args:
        data: the tensor.
        requires_grad: collect gradients here.

    >>> import autodiff as ad
    >>> from autodiff.autograd import Variable
    >>> Variable(ad.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    >>> isinstance(ad.ones(2), Variable)
    True
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """Return a tensor."""
        return data.detach().requires_grad_(requires_grad)
