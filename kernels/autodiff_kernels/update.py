"""Optimizer steps: every parameter of one dtype updated in place by one call, in one pass over its memory.

All kernels take, in this order,

    table: int64 array (parameters, columns): the addresses of a parameter (in/out), of its state arrays (in/out, the
        order stands with each kernel), of its gradient (in), and last their common number of elements. The arrays are
        contiguous, in the same order of elements, and of one dtype. A state that the options leave unused may be 0.
    like: 1-D array of that dtype, float32 or float64 (its elements are not touched).
    float64 numbers and bool options, named as in PyTorch, and `step`, the number of this step, from 1.
    part, parts.

Arithmetic is in the parameters' dtype; what depends on the step number is computed once, in float64. Each parameter's
elements are shared among the parts. `maximize` turns the gradient's sign; `weight_decay` w adds w * parameter to the
gradient unless said otherwise. In the formulas p is a parameter, g its gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.accumulate import row_sum
from autodiff_kernels.maths import root
from autodiff_kernels.memory import apply, load, pointer_at, pointers_at
from autodiff_kernels.parts import share, share_of_elements
from autodiff_kernels.scalar import clamp, maximum, sign

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy", forceinline=True)
def _share(row: Array, part: int, parts: int) -> tuple[int, int]:
    """This part's first element of a parameter, and how many it updates."""
    begin, end = share_of_elements(row[len(row) - 1], part, parts)
    return begin, end - begin


@njit(cache=True, nogil=True, error_model="numpy")
def follow(words: Array, pointers: int, offset: int, part: int, parts: int) -> None:
    """Read a word of each of several objects: words[i] = the int64 `offset` bytes behind where pointers[i] leads.

    Args:
        words: (n,), out; int64. Elements are shared among the parts.
        pointers: address of n addresses.
        offset: in bytes.
    """
    low, high = share(words.shape[0], part, parts)
    for i in range(low, high):
        words[i] = load(pointer_at(load(pointer_at(pointers + 8 * i, np.int64)) + offset, np.int64))


# ---- Clipping --------------------------------------------------------------------------------------------------------
# The tables of these two have two columns: the address of a tensor, and its number of elements.


@njit(cache=True, nogil=True, error_model="numpy")
def square_sums(sums: Array, table: Array, part: int, parts: int) -> None:
    """sums[i] = sum of the squares of the i-th tensor, as `reduce.square_sum_axes` adds them up.

    Args:
        sums: (tensors,), out; the dtype of the tensors. Shared among the parts.
        table: (tensors, 2), in; int64.
    """
    low, high = share(table.shape[0], part, parts)
    for row in range(low, high):
        (x,) = pointers_at(table[row], sums, 0, 1)
        sums[row] = row_sum(x, table[row, 1], 0.0, True)


@njit(error_model="numpy", forceinline=True)
def _scaled(x: float, factor: float) -> float:
    return x * factor


@njit(cache=True, nogil=True, error_model="numpy")
def scale(table: Array, factor: Array, part: int, parts: int) -> None:
    """Multiply all tensors by factor[0], in place.

    Args:
        table: (tensors, 2), in; int64.
        factor: (1,), in; the dtype of the tensors.
    """
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        (x,) = pointers_at(table[row], factor, begin, 1)
        apply(_scaled, count, (x,), (x,), (factor[0],))


@njit(cache=True, nogil=True, error_model="numpy")
def limit(table: Array, bounds: Array, part: int, parts: int) -> None:
    """Limit the elements of all tensors to the range from bounds[0] to bounds[1], in place; NaN stays.

    Args:
        table: (tensors, 2), in; int64.
        bounds: (2,), in; the dtype of the tensors.
    """
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        (x,) = pointers_at(table[row], bounds, begin, 1)
        apply(clamp, count, (x,), (x,), (bounds[0], bounds[1]))


# ---- SGD -------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _sgd(p: float, g: float, lr: float, weight_decay: float, direction: float) -> float:
    return p - lr * (direction * g + weight_decay * p)


@njit(error_model="numpy", forceinline=True)
def _sgd_momentum(
    p: float, v: float, g: float, lr: float, momentum: float, new: float, ahead: float, behind: float,
    weight_decay: float, direction: float,
) -> tuple[float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    v = momentum * v + new * g
    return p - lr * (ahead * g + behind * v), v


@njit(cache=True, nogil=True, error_model="numpy")
def sgd(
    table: Array, like: Array, lr: float, momentum: float, dampening: float, weight_decay: float, nesterov: bool,
    maximize: bool, step: int, part: int, parts: int,
) -> None:  # fmt: skip
    """v = momentum v + (1 - dampening) g, in step 1 v = g; p -= lr v, with `nesterov` p -= lr (g + momentum v).

    State: v, zeros at first, unused without momentum. Sutskever et al. 2013, "On the importance of initialization and
    momentum in deep learning", in the form of PyTorch's `SGD`.
    """
    T = like.dtype.type
    direction = T(-1 if maximize else 1)
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, v, g = pointers_at(table[row], like, begin, 3)
        if momentum == 0:
            apply(_sgd, count, (p,), (p, g), (T(lr), T(weight_decay), direction))
        else:
            numbers = (T(lr), T(momentum), T(1 if step == 1 else 1 - dampening), T(1 if nesterov else 0),
                       T(momentum if nesterov else 1), T(weight_decay), direction)  # fmt: skip
            apply(_sgd_momentum, count, (p, v), (p, v, g), numbers)


@njit(error_model="numpy", forceinline=True)
def _asgd(
    p: float, average: float, g: float, keep: float, eta: float, mu: float, weight_decay: float, direction: float
) -> tuple[float, float]:
    g = direction * g + weight_decay * p
    p = keep * p - eta * g
    return p, (p if mu == type(p)(1) else average + mu * (p - average))


@njit(cache=True, nogil=True, error_model="numpy")
def asgd(
    table: Array, like: Array, lambd: float, weight_decay: float, maximize: bool, eta: float, mu: float, part: int,
    parts: int,
) -> None:  # fmt: skip
    """p = (1 - lambd eta) p - eta g; average += mu (p - average).

    State: the average of p, zeros at first. Polyak & Juditsky 1992, "Acceleration of stochastic approximation by
    averaging", in the form of PyTorch's `ASGD`.
    """
    T = like.dtype.type
    numbers = (T(1 - lambd * eta), T(eta), T(mu), T(weight_decay), T(-1 if maximize else 1))
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, average, g = pointers_at(table[row], like, begin, 3)
        apply(_asgd, count, (p, average), (p, average, g), numbers)


# ---- Adam ------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _adam(
    p: float, m: float, v: float, g: float, rate: float, new1: float, beta2: float, new2: float, root_correction: float,
    eps: float, weight_decay: float, keep: float, direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    m = m + new1 * (g - m)
    v = beta2 * v + new2 * g * g
    return keep * p - rate * m / (root(v) / root_correction + eps), m, v


@njit(error_model="numpy", forceinline=True)
def _amsgrad(
    p: float, m: float, v: float, largest: float, g: float, rate: float, new1: float, beta2: float, new2: float,
    root_correction: float, eps: float, weight_decay: float, keep: float, direction: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    m = m + new1 * (g - m)
    v = beta2 * v + new2 * g * g
    largest = maximum(largest, v)
    return keep * p - rate * m / (root(largest) / root_correction + eps), m, v, largest


@njit(cache=True, nogil=True, error_model="numpy")
def adam(
    table: Array, like: Array, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
    amsgrad: bool, maximize: bool, step: int, part: int, parts: int,
) -> None:  # fmt: skip
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g**2; p -= lr m' / (sqrt(v') + eps).

    m' = m / (1 - beta1**step), v' = v / (1 - beta2**step); with `amsgrad`, the largest v so far takes v's place in v'.
    With `decoupled` (AdamW) the decay is p *= 1 - lr weight_decay instead.
    State: m, v, the largest v (unused without `amsgrad`), all zeros at first. Kingma & Ba 2015, algorithm 1; Reddi et
    al. 2018, algorithm 2; Loshchilov & Hutter 2019, algorithm 2.
    """
    T = like.dtype.type
    numbers = (
        T(lr / (1 - beta1 ** float(step))), T(1 - beta1), T(beta2), T(1 - beta2),
        T(math.sqrt(1 - beta2 ** float(step))), T(eps), T(0 if decoupled else weight_decay),
        T(1 - lr * weight_decay if decoupled else 1), T(-1 if maximize else 1),
    )  # fmt: skip
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, m, v, largest, g = pointers_at(table[row], like, begin, 5)
        if amsgrad:
            apply(_amsgrad, count, (p, m, v, largest), (p, m, v, largest, g), numbers)
        else:
            apply(_adam, count, (p, m, v), (p, m, v, g), numbers)


@njit(error_model="numpy", forceinline=True)
def _nadam(
    p: float, m: float, v: float, g: float, rate: float, ahead: float, new1: float, beta2: float, new2: float,
    root_correction: float, eps: float, weight_decay: float, keep: float, direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    m = m + new1 * (g - m)
    v = beta2 * v + new2 * g * g
    return keep * p - (rate * g + ahead * m) / (root(v) / root_correction + eps), m, v


@njit(cache=True, nogil=True, error_model="numpy")
def nadam(
    table: Array, like: Array, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
    maximize: bool, mu: float, following: float, product: float, step: int, part: int, parts: int,
) -> None:  # fmt: skip
    """p -= lr ((1 - mu) / (1 - product) g + following / (1 - product following) m) / (sqrt(v') + eps).

    m, v, v' and `decoupled` as in `adam`; mu is the momentum of this step, `following` of the next, `product` the
    product of all mu up to this step. State: m, v, zeros at first. Dozat 2016, "Incorporating Nesterov momentum into
    Adam", algorithm 2.
    """
    T = like.dtype.type
    numbers = (
        T(lr * (1 - mu) / (1 - product)), T(lr * following / (1 - product * following)), T(1 - beta1), T(beta2),
        T(1 - beta2), T(math.sqrt(1 - beta2 ** float(step))), T(eps), T(0 if decoupled else weight_decay),
        T(1 - lr * weight_decay if decoupled else 1), T(-1 if maximize else 1),
    )  # fmt: skip
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, m, v, g = pointers_at(table[row], like, begin, 4)
        apply(_nadam, count, (p, m, v), (p, m, v, g), numbers)


@njit(error_model="numpy", forceinline=True)
def _unadapted(
    p: float, m: float, v: float, g: float, rate: float, new1: float, beta2: float, new2: float, root_correction: float,
    eps: float, weight_decay: float, keep: float, direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    m = m + new1 * (g - m)
    return keep * p - rate * m, m, beta2 * v + new2 * g * g


@njit(cache=True, nogil=True, error_model="numpy")
def radam(
    table: Array, like: Array, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
    maximize: bool, step: int, part: int, parts: int,
) -> None:  # fmt: skip
    """p -= lr r m' sqrt(1 - beta2**step) / (sqrt(v) + eps) once v rests on enough steps, before that p -= lr m'.

    m, m', v and `decoupled` as in `adam`. Enough is rho > 5, with rho = R - 2 step beta2**step / (1 - beta2**step) and
    R = 2 / (1 - beta2) - 1; r = sqrt((rho - 4) (rho - 2) R / ((R - 4) (R - 2) rho)). State: m, v, zeros at first.
    Liu et al. 2020, "On the variance of the adaptive learning rate and beyond", algorithm 2, in PyTorch's form.
    """
    T = like.dtype.type
    decay = beta2 ** float(step)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * decay / (1 - decay)
    rate = lr / (1 - beta1 ** float(step))
    if length > 5:
        rate *= math.sqrt((1 - decay) * (length - 4) * (length - 2) * longest
                          / ((longest - 4) * (longest - 2) * length))  # fmt: skip
    numbers = (
        T(rate), T(1 - beta1), T(beta2), T(1 - beta2), T(1), T(eps), T(0 if decoupled else weight_decay),
        T(1 - lr * weight_decay if decoupled else 1), T(-1 if maximize else 1),
    )  # fmt: skip
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, m, v, g = pointers_at(table[row], like, begin, 4)
        if length > 5:
            apply(_adam, count, (p, m, v), (p, m, v, g), numbers)
        else:
            apply(_unadapted, count, (p, m, v), (p, m, v, g), numbers)


@njit(error_model="numpy", forceinline=True)
def _adamax(
    p: float, m: float, u: float, g: float, rate: float, new1: float, beta2: float, eps: float, weight_decay: float,
    direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    m = m + new1 * (g - m)
    u = maximum(beta2 * u, abs(g) + eps)
    return p - rate * m / u, m, u


@njit(cache=True, nogil=True, error_model="numpy")
def adamax(
    table: Array, like: Array, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, maximize: bool,
    step: int, part: int, parts: int,
) -> None:  # fmt: skip
    """m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + eps); p -= lr / (1 - beta1**step) m / u.

    State: m, u, zeros at first. Kingma & Ba 2015, algorithm 2, with PyTorch's place for eps.
    """
    T = like.dtype.type
    numbers = (T(lr / (1 - beta1 ** float(step))), T(1 - beta1), T(beta2), T(eps), T(weight_decay),
               T(-1 if maximize else 1))  # fmt: skip
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, m, u, g = pointers_at(table[row], like, begin, 4)
        apply(_adamax, count, (p, m, u), (p, m, u, g), numbers)


# ---- Adagrad, RMSprop, Adadelta --------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _adagrad(
    p: float, v: float, g: float, rate: float, eps: float, weight_decay: float, direction: float
) -> tuple[float, float]:
    g = direction * g + weight_decay * p
    v = v + g * g
    return p - rate * g / (root(v) + eps), v


@njit(cache=True, nogil=True, error_model="numpy")
def adagrad(
    table: Array, like: Array, lr: float, lr_decay: float, eps: float, weight_decay: float, maximize: bool, step: int,
    part: int, parts: int,
) -> None:  # fmt: skip
    """v += g**2; p -= lr / (1 + (step - 1) lr_decay) g / (sqrt(v) + eps).

    State: v, the initial accumulator value at first. Duchi et al. 2011, in the form of PyTorch's `Adagrad`.
    """
    T = like.dtype.type
    numbers = (T(lr / (1 + (step - 1) * lr_decay)), T(eps), T(weight_decay), T(-1 if maximize else 1))
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, v, g = pointers_at(table[row], like, begin, 3)
        apply(_adagrad, count, (p, v), (p, v, g), numbers)


@njit(error_model="numpy", forceinline=True)
def _rmsprop(
    p: float, v: float, g: float, lr: float, alpha: float, new: float, eps: float, weight_decay: float, momentum: float,
    direction: float,
) -> tuple[float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    v = alpha * v + new * g * g
    return p - lr * g / (root(v) + eps), v


@njit(error_model="numpy", forceinline=True)
def _rmsprop_momentum(
    p: float, v: float, b: float, g: float, lr: float, alpha: float, new: float, eps: float, weight_decay: float,
    momentum: float, direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    v = alpha * v + new * g * g
    b = momentum * b + g / (root(v) + eps)
    return p - lr * b, v, b


@njit(error_model="numpy", forceinline=True)
def _rmsprop_centered(
    p: float, v: float, a: float, g: float, lr: float, alpha: float, new: float, eps: float, weight_decay: float,
    momentum: float, direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    v = alpha * v + new * g * g
    a = a + new * (g - a)
    return p - lr * g / (root(v - a * a) + eps), v, a


@njit(error_model="numpy", forceinline=True)
def _rmsprop_centered_momentum(
    p: float, v: float, b: float, a: float, g: float, lr: float, alpha: float, new: float, eps: float,
    weight_decay: float, momentum: float, direction: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    v = alpha * v + new * g * g
    a = a + new * (g - a)
    b = momentum * b + g / (root(v - a * a) + eps)
    return p - lr * b, v, b, a


@njit(cache=True, nogil=True, error_model="numpy")
def rmsprop(
    table: Array, like: Array, lr: float, alpha: float, eps: float, weight_decay: float, momentum: float,
    centered: bool, maximize: bool, part: int, parts: int,
) -> None:  # fmt: skip
    """v = alpha v + (1 - alpha) g**2; b = momentum b + g / (sqrt(v) + eps); p -= lr b.

    With `centered`, a = alpha a + (1 - alpha) g, and v - a**2 stands under the root.
    State: v, b (unused without momentum), a (unused without `centered`), all zeros at first. Tieleman & Hinton 2012,
    lecture 6.5; centred: Graves 2013, "Generating sequences with recurrent neural networks", equations 38 to 41; in
    the form of PyTorch's `RMSprop`, which has eps outside the root.
    """
    T = like.dtype.type
    numbers = (T(lr), T(alpha), T(1 - alpha), T(eps), T(weight_decay), T(momentum), T(-1 if maximize else 1))
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, v, b, a, g = pointers_at(table[row], like, begin, 5)
        if centered and momentum > 0:
            apply(_rmsprop_centered_momentum, count, (p, v, b, a), (p, v, b, a, g), numbers)
        elif centered:
            apply(_rmsprop_centered, count, (p, v, a), (p, v, a, g), numbers)
        elif momentum > 0:
            apply(_rmsprop_momentum, count, (p, v, b), (p, v, b, g), numbers)
        else:
            apply(_rmsprop, count, (p, v), (p, v, g), numbers)


@njit(error_model="numpy", forceinline=True)
def _adadelta(
    p: float, v: float, d: float, g: float, lr: float, rho: float, new: float, eps: float, weight_decay: float,
    direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    g = direction * g + weight_decay * p
    v = rho * v + new * g * g
    delta = root(d + eps) / root(v + eps) * g
    return p - lr * delta, v, rho * d + new * delta * delta


@njit(cache=True, nogil=True, error_model="numpy")
def adadelta(
    table: Array, like: Array, lr: float, rho: float, eps: float, weight_decay: float, maximize: bool, part: int,
    parts: int,
) -> None:  # fmt: skip
    """p -= lr delta, where delta = sqrt(d + eps) / sqrt(v + eps) g.

    v = rho v + (1 - rho) g**2 before that, d = rho d + (1 - rho) delta**2 after it.
    State: v, d, zeros at first. Zeiler 2012, "ADADELTA: an adaptive learning rate method", algorithm 1.
    """
    T = like.dtype.type
    numbers = (T(lr), T(rho), T(1 - rho), T(eps), T(weight_decay), T(-1 if maximize else 1))
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, v, d, g = pointers_at(table[row], like, begin, 4)
        apply(_adadelta, count, (p, v, d), (p, v, d, g), numbers)


# ---- Rprop -----------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _rprop(
    p: float, before: float, size: float, g: float, shrink: float, grow: float, smallest: float, largest: float,
    direction: float,
) -> tuple[float, float, float]:  # fmt: skip
    T = type(p)
    g = direction * g
    agreement = g * before
    size = clamp(size * (grow if agreement > T(0) else shrink if agreement < T(0) else T(1)), smallest, largest)
    g = T(0) if agreement < T(0) else g
    return p - sign(g) * size, g, size


@njit(cache=True, nogil=True, error_model="numpy")
def rprop(
    table: Array, like: Array, shrink: float, grow: float, smallest: float, largest: float, maximize: bool, part: int,
    parts: int,
) -> None:  # fmt: skip
    """p -= sign(g) size, where size grows while g keeps its sign; when g turns, size shrinks and g counts as 0.

    `size` is multiplied by `grow` or `shrink` (PyTorch's `etas`) and kept within `smallest` and `largest`.
    State: the g of the step before (zeros at first), size (the learning rate at first). Riedmiller & Braun 1993, in the
    form of PyTorch's `Rprop` (iRprop-: Igel & Huesken 2000).
    """
    T = like.dtype.type
    numbers = (T(shrink), T(grow), T(smallest), T(largest), T(-1 if maximize else 1))
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, before, size, g = pointers_at(table[row], like, begin, 4)
        apply(_rprop, count, (p, before, size), (p, before, size, g), numbers)


# ---- L-BFGS ----------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _along(start: float, direction: float, lr: float) -> float:
    return start + lr * direction


@njit(cache=True, nogil=True, error_model="numpy")
def lbfgs(table: Array, like: Array, lr: float, part: int, parts: int) -> None:
    """p = start + lr d: the way along a line, of which the direction d stands in the gradient's place.

    State: start, unused (0) where that is p itself.
    """
    for row in range(table.shape[0]):
        begin, count = _share(table[row], part, parts)
        p, start, d = pointers_at(table[row], like, begin, 3)
        if table[row, 1] == 0:
            apply(_along, count, (p,), (p, d), (like.dtype.type(lr),))
        else:
            apply(_along, count, (p,), (start, d), (like.dtype.type(lr),))
