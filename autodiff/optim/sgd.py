"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from autodiff import ops
from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.optim.optimizer import Optimizer, check_settings

_INFINITY = float("inf")


class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum, Nesterov's momentum and weight decay.

    .. math:: g \leftarrow g + \lambda w, \quad v \leftarrow \mu v + (1 - \tau) g, \quad w \leftarrow w - \eta v

    and with `nesterov` :math:`w \leftarrow w - \eta (g + \mu v)`. In the first step v = g. The rate multiplies the
    velocity when it is applied (as in PyTorch); Sutskever's form takes it into the velocity, which differs only when
    the rate changes.

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        momentum: mu.
        dampening: tau.
        weight_decay: lambda, added to the gradient.
        nesterov: look ahead along the velocity; needs momentum and no dampening.
        maximize: go up instead of down.
        foreach, fused, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Nesterov 1983, in the form
    of Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    State of a parameter: ``momentum_buffer``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.SGD([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.7000])
    """

    slots = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_settings(
            "SGD", lr=(lr, 0, _INFINITY), momentum=(momentum, 0, _INFINITY), weight_decay=(weight_decay, 0, _INFINITY)
        )
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueRangeError(
                "SGD",
                "Nesterov's momentum needs momentum and no dampening",
                expected="momentum > 0, dampening 0",
                got=f"momentum {momentum}, dampening {dampening}",
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def initialise(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Take memory for the velocity only where there is momentum."""
        if group["momentum"]:
            super().initialise(p, state, group)
        else:
            state["step"] = 0

    def update(
        self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], step: int, group: dict[str, Any]
    ) -> None:
        """Take the step."""
        velocities = []
        if group["momentum"]:
            for p, state in zip(params, states, strict=True):
                if "momentum_buffer" not in state:  # momentum was switched on later
                    super().initialise(p, state, group)
                    state["step"] = step
                velocities.append(state["momentum_buffer"])
        ops.sgd_step(
            params,
            velocities,
            grads,
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            step_count=step,
        )
