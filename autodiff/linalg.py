"""Linear algebra under PyTorch's `linalg` names."""

from autodiff.ops.determinants import det, slogdet
from autodiff.ops.matrices import cholesky, eigh, eigvalsh, inv, qr, solve, svd, svdvals
from autodiff.ops.matrix_functions import (
    cond,
    lstsq,
    matrix_exp,
    matrix_norm,
    matrix_power,
    matrix_rank,
    norm,
    pinv,
)
from autodiff.ops.products import matmul
from autodiff.ops.statistics import vector_norm
from autodiff.ops.triangular import solve_triangular
from autodiff.ops.vector_products import linalg_cross as cross
from autodiff.ops.vector_products import multi_dot, vecdot

__all__ = [
    "cholesky", "cond", "cross", "det", "eigh", "eigvalsh", "inv", "lstsq", "matmul", "matrix_exp", "matrix_norm",
    "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
    "svdvals", "vecdot", "vector_norm",
]
