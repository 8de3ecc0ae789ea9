"""Rprop: steps that look at the signs of the gradients alone."""

from __future__ import annotations

from typing import Any

from autodiff import ops
from autodiff.errors import ValueRangeError
from autodiff.optim.optimizer import Optimizer, check_pair, check_settings


class Rprop(Optimizer):
    """Resilient back-propagation: each weight has a step size that grows while its gradient keeps its sign.

    When the sign turns, the size shrinks and the weight stays for this step. Meant for full-batch gradients: on
    mini-batches signs turn by chance.

    Args:
        params: parameters or groups.
        lr: step size at first.
        etas: factors by which a size shrinks and grows.
        step_sizes: smallest and largest size.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
    1993, in the form iRprop- of Igel & Huesken, 2000.

    State of a parameter: ``prev``, ``step_size``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.Rprop([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000])
    """

    take = staticmethod(ops.rprop_step)
    slots = ("prev", "step_size")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_settings("Rprop", lr=(lr, 0, float("inf")))
        check_pair("Rprop", etas=etas, step_sizes=step_sizes)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueRangeError(
                "Rprop", "'etas' are outside their range", expected="0 < etas[0] < 1 < etas[1]", got=str(etas)
            )
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def first_value(self, name: str, group: dict[str, Any]) -> float:
        """Start every step size at the learning rate."""
        return float(group["lr"]) if name == "step_size" else 0.0
