"""The operators and methods of `Tensor` that are operations: one line each, bound to the function of `autodiff.ops`."""

from __future__ import annotations

from typing import Any

from autodiff import ops


class Methods:
    """Operations as operators and methods; `Tensor` inherits them."""

    def __add__(self, other: Any) -> Any:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    def __iadd__(self, other: Any) -> Any:
        return ops.add_(self, other)

    def __sub__(self, other: Any) -> Any:
        return ops.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return ops.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return ops.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return ops.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return ops.div(self, other)

    def __neg__(self) -> Any:
        return ops.neg(self)

    def __matmul__(self, other: Any) -> Any:
        return ops.matmul(self, other)

    add = ops.add
    add_ = ops.add_
    clone = ops.clone
    contiguous = ops.contiguous
    expand = ops.expand
    permute = ops.permute
    reshape = ops.reshape
    sum = ops.sum
    tanh = ops.tanh
    transpose = ops.transpose
