"""The oracle: every operation again, slowly, plainly and in float64, from its formula.

It imports NumPy and nothing of ours, so that a mistake cannot be made on both sides. `oracle.<name>` has the name and
the arguments of PyTorch's function (dots become underscores: `linalg_norm`), takes arrays and returns arrays: float64
for floats, integers and bools as they are.

Differences: `tensor_unfold` is the method Tensor.unfold and `unfold` the function of nn.functional;
`dropout(input, mask, p)` is given its mask; `setitem` returns the changed copy; `batch_norm_running` returns the
running statistics that batch_norm would write; optimizers return the path of a parameter.
"""

from collections.abc import Callable
from typing import Any

from . import (
    activation,
    attention,
    composites,
    conv,
    creation,
    distance,
    elementwise,
    indexing,
    linalg,
    lookup,
    loss,
    normalisation,
    optimizers,
    order,
    pool,
    probability,
    products,
    recurrent,
    reduce,
    resize,
    sampling,
    special,
    structural,
)

_FAMILIES = (
    activation,
    attention,
    composites,
    conv,
    creation,
    distance,
    elementwise,
    indexing,
    linalg,
    lookup,
    loss,
    normalisation,
    optimizers,
    order,
    pool,
    probability,
    products,
    recurrent,
    reduce,
    resize,
    sampling,
    special,
    structural,
)

# Every function of the oracle by its name; each is an attribute of the package too.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: value
    for family in _FAMILIES
    for name, value in vars(family).items()
    if not name.startswith("_") and getattr(value, "__module__", None) == family.__name__
}
globals().update(FUNCTIONS)
