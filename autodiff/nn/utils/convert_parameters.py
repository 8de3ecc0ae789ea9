"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from autodiff import ops
from autodiff.eager import Tensor
from autodiff.errors import ShapeError


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of all parameters in one vector; gradients flow through.

    >>> import autodiff as ad
    >>> ad.nn.utils.parameters_to_vector([ad.ones(2), ad.zeros(1, 2)])
    tensor([1., 1., 0., 0.])
    """
    return ops.cat([ops.reshape(parameter, -1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let parameters lie in slices of a vector: afterwards they share its memory.

    Args:
        vec: one dimension, with as many elements as the parameters.
        parameters: in the order of `parameters_to_vector`.

    Raises:
        ShapeError: if the number of elements differs.

    >>> import autodiff as ad
    >>> layer = ad.nn.Linear(1, 1)
    >>> ad.nn.utils.vector_to_parameters(ad.tensor([2.0, 3.0]), layer.parameters())
    >>> layer.weight.item(), layer.bias.item()
    (2.0, 3.0)
    """
    found = list(parameters)
    count = sum(parameter.spec.size for parameter in found)
    if vec.shape != (count,):
        raise ShapeError("vector_to_parameters", "the vector does not hold the parameters", expected=f"({count},)",
                         got=str(vec.shape))
    start = 0
    source = vec.detach()
    for parameter in found:
        size = parameter.spec.size
        parameter.data = ops.reshape(ops.narrow(source, 0, start, size), parameter.shape)
        start += size
