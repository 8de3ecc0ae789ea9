"""Determinants of matrices, with gradients that also singular matrices have."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import ValueRangeError
from autodiff.ops.elementwise import add, mul
from autodiff.ops.functions import log
from autodiff.ops.matrices import inv, inv_p, lapack, square_samples
from autodiff.ops.matrix_batches import require_matrices
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import require_tensor, turned
from autodiff.primitive import Keep, Sample
from autodiff.spec import Array, Spec

# The names that PyTorch has outside `linalg` too, with the same meaning.
__all__ = ["det", "logdet", "slogdet"]


def _numbers(x: Any) -> Any:
    """Return one number a matrix with two dimensions of size 1 behind it."""
    return unsqueeze(unsqueeze(x, -1), -1)


# ---- The determinant -------------------------------------------------------------------------------------------------


def _cofactors(a: Array) -> Array:
    """Return ``det(a) * inv(a).T``, the derivative of the determinant, which exists for singular matrices too.

    With ``a = u @ diag(s) @ vh`` it is ``det(u) * det(vh) * u @ diag(r) @ vh``, where r holds the products of all but
    one of the singular values.
    """
    determinants = np.linalg.det(a)
    if np.all(determinants != 0):
        cofactors: Array = np.swapaxes(np.linalg.inv(a), -1, -2) * determinants[..., None, None]
        return cofactors
    u, s, vh = np.linalg.svd(a)
    others = np.ones_like(s)
    for i in range(s.shape[-1]):
        others[..., i] = np.delete(s, i, -1).prod(-1)
    found: Array = (u * (others * (np.linalg.det(u) * np.linalg.det(vh))[..., None])[..., None, :]) @ vh
    return found


def _cofactors_infer(a: Spec) -> Spec:
    require_matrices("linalg.det", a)
    return Spec.of(a.shape, a.dtype)


cofactors_p = lapack(
    "cofactors", _cofactors, _cofactors_infer, None, Keep(inputs=(0,)), square_samples, None, 3,
    twin=lambda a: mul(_numbers(det(a)), turned(inv(a))),
)  # fmt: skip


def _det_infer(a: Spec) -> Spec:
    require_matrices("linalg.det", a)
    return Spec.of(a.shape[:-2], a.dtype)


def _singular_samples() -> list[Sample]:
    singular = np.array([[[1, 2], [2, 4]], [[0, 0], [0, 0]]], np.float32)
    return [*square_samples(), Sample(singular, gradient=False)]


det_p = lapack(
    "det", np.linalg.det, _det_infer, lambda record, g: (mul(_numbers(g), bind(cofactors_p, record.input(0))),),
    Keep(inputs=(0,)), _singular_samples, lambda a: det(a), 0.7,
)  # fmt: skip


def det(A: TensorT) -> TensorT:
    """Return determinants.

    Args:
        A: (..., n, n), floats.

    Returns:
        (...). The first gradient exists for singular matrices too.

    Raises:
        ShapeError: unless the matrices are square.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.det(ad.tensor([[0.0, 2.0], [4.0, 0.0]]))
    tensor(-8.)
    """
    require_tensor("linalg.det", A)
    return bind(det_p, A)  # type: ignore[no-any-return]


# ---- Its sign and logarithm ------------------------------------------------------------------------------------------


def _slogdet_infer(a: Spec) -> tuple[Spec, Spec]:
    require_matrices("linalg.slogdet", a)
    out = Spec.of(a.shape[:-2], a.dtype)
    return out, out


def _slogdet_vjp(record: Any, _: Any, g: Any) -> tuple[Any]:
    if g is None:
        return (None,)
    try:
        inverse = bind(inv_p, record.input(0))
    except ValueRangeError:
        raise ValueRangeError("linalg.slogdet", "the logarithm of the determinant of a singular matrix has no gradient",
                              fix="add a small multiple of the identity") from None
    return (mul(_numbers(g), turned(inverse)),)


slogdet_p = lapack(
    "slogdet", np.linalg.slogdet, _slogdet_infer, _slogdet_vjp, Keep(inputs=(0,)), square_samples,
    lambda a: slogdet(a), 0.7,
)  # fmt: skip


def slogdet(A: TensorT) -> tuple[TensorT, TensorT]:
    """Return the signs of determinants, and the logarithms of their absolute values.

    Args:
        A: (..., n, n), floats.

    Returns:
        Two tensors (...): -1, 0 or 1, and the logarithm, -infinity for a singular matrix.

    Raises:
        ShapeError: unless the matrices are square.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.slogdet(ad.eye(2) * -1)
    (tensor(1.), tensor(0.))
    """
    require_tensor("linalg.slogdet", A)
    return bind(slogdet_p, A)  # type: ignore[no-any-return]


def logdet(input: TensorT) -> TensorT:
    """Return logarithms of determinants: NaN for a negative one, -infinity for 0.

    Args:
        input: (..., n, n), floats.

    Raises:
        ShapeError: unless the matrices are square.
        DTypeError: unless `input` holds floats.

    >>> import autodiff as ad
    >>> ad.logdet(ad.eye(3))
    tensor(0.)
    """
    sign, logarithm = slogdet(input)
    return add(logarithm, log(sign))
