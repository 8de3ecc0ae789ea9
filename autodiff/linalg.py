"""Linear algebra under PyTorch's `linalg` names."""

from typing import NoReturn

from autodiff.ops.determinants import det, slogdet
from autodiff.ops.matrices import cholesky, eigh, eigvalsh, inv, qr, solve, svd, svdvals
from autodiff.ops.matrix_functions import cond, lstsq, matrix_norm, matrix_rank, norm, pinv
from autodiff.ops.matrix_powers import matrix_exp, matrix_power
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


def __getattr__(name: str) -> NoReturn:
    if name in ("eig", "eigvals"):
        raise AttributeError(f"autodiff has no linalg.{name}: eigenvalues of general matrices are complex, and tensors "
                             "here hold real numbers; for symmetric matrices use linalg.eigh or linalg.eigvalsh")
    raise AttributeError(f"module 'autodiff.linalg' has no attribute '{name}'")
