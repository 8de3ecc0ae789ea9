"""Every operation, once: shape rule, kernel call, gradient, what backward keeps, cost, samples."""

from autodiff.ops.broadcast import expand, sum, sum_to
from autodiff.ops.elementwise import add, add_, div, mul, neg, sub, tanh
from autodiff.ops.matmul import linear, matmul
from autodiff.ops.structural import alias, clone, contiguous, permute, reshape, transpose

__all__ = ["add", "add_", "alias", "clone", "contiguous", "div", "expand", "linear", "matmul", "mul", "neg", "permute", "reshape", "sub", "sum",
           "sum_to", "tanh", "transpose"]
