"""Gradients of tensors with respect to tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autodiff import reverse
from autodiff.eager import Tensor, cotangent_of, tensors_of, wrap
from autodiff.errors import GradientError


def _seeds(outputs: tuple[Tensor, ...], cotangents: Any, operation: str) -> list[Tensor]:
    if cotangents is None:
        cotangents = (None,) * len(outputs)
    given = cotangents if isinstance(cotangents, list | tuple) else (cotangents,)
    if len(given) != len(outputs):
        raise GradientError(
            operation, "there must be one cotangent for each output", expected=str(len(outputs)), got=str(len(given))
        )
    return [cotangent_of(output, cotangent, operation) for output, cotangent in zip(outputs, given, strict=True)]


def grad(
    outputs: Tensor | Iterable[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of the sum of `outputs` with respect to `inputs`; `.grad` stays as it is.

    Args:
        outputs: tensor or tensors to differentiate.
        inputs: tensor or tensors to differentiate by: leaves or results on the way.
        grad_outputs: cotangent of each output, of its shape; 1 by default for outputs of one element.
        retain_graph: keep the saved tensors for another pass; by default `create_graph`.
        create_graph: record this pass, so that the result can be differentiated again.
        only_inputs: accepted for PyTorch's sake; it is always so.
        allow_unused: return None for an input that the outputs do not depend on, instead of raising.
        materialize_grads: return zeros for such an input.

    Returns:
        One tensor an input, of its shape.

    Raises:
        GradientError: if an output requires no gradient, or an input does not require one or is not reached.
        DTypeError: for something that is no tensor.

    >>> import autodiff as ad
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> (first,) = ad.autograd.grad(x ** 3, x, create_graph=True)
    >>> (second,) = ad.autograd.grad(first, x)
    >>> first.item(), second.item()
    (12.0, 12.0)
    """
    roots, targets = tensors_of("grad", "an output", outputs), tensors_of("grad", "an input", inputs)
    for position, target in enumerate(targets):
        if not target.requires_grad:
            raise GradientError(
                "grad", f"input {position} requires no gradient", fix="set requires_grad=True before it is used"
            )
    keep = create_graph if retain_graph is None else retain_graph
    found = reverse.sweep(
        roots, _seeds(roots, grad_outputs, "grad"), targets, create_graph=create_graph, retain_graph=keep
    )
    if materialize_grads:
        import numpy as np

        found = [wrap(np.zeros(t.shape, t.dtype)) if g is None else g for g, t in zip(found, targets, strict=True)]
    elif not allow_unused:
        for position, gradient in enumerate(found):
            if gradient is None:
                raise GradientError(
                    "grad",
                    f"the outputs do not depend on input {position}",
                    fix="pass allow_unused=True to get None for it",
                )
    return tuple(found)


def backward(
    tensors: Tensor | Iterable[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Iterable[Tensor] | None = None,
) -> None:
    """Propagate back from several tensors at once into the `.grad` of the leaves; see `Tensor.backward`.

    Args:
        tensors: where to start.
        grad_tensors: cotangent of each, of its shape; 1 by default for tensors of one element.
        retain_graph: keep the saved tensors for another pass.
        create_graph: record this pass.
        inputs: tensor or tensors to collect gradients for; all leaves that are reached by default.

    Raises:
        GradientError: if a tensor requires no gradient or has several elements and no cotangent.
        DTypeError: for something that is no tensor.

    >>> import autodiff as ad
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> ad.autograd.backward([x * 3, x * 4])
    >>> x.grad
    tensor(7.)
    """
    roots = tensors_of("backward", "an output", tensors)
    keep = create_graph if retain_graph is None else retain_graph
    targets = None if inputs is None else tensors_of("backward", "an input", inputs)
    reverse.backward(
        roots, _seeds(roots, grad_tensors, "backward"), targets, create_graph=create_graph, retain_graph=keep
    )
