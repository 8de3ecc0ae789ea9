"""Functions of two weights that show what makes optimization hard.

They are written with operations, so the same lines give heights (with grids of points) and gradients (with one point).
"""

from __future__ import annotations

from typing import Any

from autodiff import ops


def beale(x: Any, y: Any) -> Any:
    """Return Beale's function: a plateau between four steep corners; its minimum of 0 is at (3, 0.5).

    (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2; Beale, "On an iterative method for finding a local
    minimum of a function of more than one variable", 1958.

    >>> import autodiff as ad
    >>> from autodiff.landscape import beale
    >>> beale(ad.tensor(3.0), ad.tensor(0.5))
    tensor(0.)
    """
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(x: Any, y: Any) -> Any:
    """Return Rosenbrock's function: a long curved valley whose floor hardly falls; its minimum of 0 is at (1, 1).

    (1 - x)^2 + 100 (y - x^2)^2; Rosenbrock, "An automatic method for finding the greatest or least value of a
    function", 1960.

    >>> import autodiff as ad
    >>> from autodiff.landscape import rosenbrock
    >>> rosenbrock(ad.tensor(0.0), ad.tensor(0.0))
    tensor(1.)
    """
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def saddle(x: Any, y: Any) -> Any:
    """Return a surface that is flat at (0, 0), where it falls to both sides; minima of -1 at (0, -√2) and (0, √2).

    x^2 - y^2 + y^4 / 4

    >>> import autodiff as ad
    >>> from autodiff.landscape import saddle
    >>> saddle(ad.tensor(0.0), ad.tensor([0.0, 1.0]))
    tensor([ 0.0000, -0.7500])
    """
    return x**2 - y**2 + y**4 / 4


def tanh_product(w1: Any, w2: Any) -> Any:
    """Return the loss of two tanh neurons in a row: a saddle at (0, 0), plateaus, two ravines that mirror each other.

    (0.5 - tanh(w1 tanh(w2 / 2)))^2: input and target are 0.5.

    >>> import autodiff as ad
    >>> from autodiff.landscape import tanh_product
    >>> tanh_product(ad.tensor(0.0), ad.tensor(0.0))
    tensor(0.2500)
    """
    return (0.5 - ops.tanh(w1 * ops.tanh(w2 * 0.5))) ** 2


def square(w: Any) -> Any:
    """Return w^2: one weight, one minimum.

    >>> import autodiff as ad
    >>> from autodiff.landscape import square
    >>> square(ad.tensor(3.0))
    tensor(9.)
    """
    return w * w


def square_of_product(w1: Any, w2: Any) -> Any:
    """Return (w1 w2)^2: `square` with its weight split in two, which makes the minimum a cross of two lines.

    >>> import autodiff as ad
    >>> from autodiff.landscape import square_of_product
    >>> square_of_product(ad.tensor(3.0), ad.tensor([0.0, 1.0]))
    tensor([0., 9.])
    """
    return (w1 * w2) ** 2
