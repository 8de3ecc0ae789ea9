"""Stochastic gradient descent, plain and averaged."""

from __future__ import annotations

import math
from typing import Any

from autodiff import ops
from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.optim.optimizer import Optimizer, check_settings


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

    take = staticmethod(ops.sgd_step)
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
            "SGD", lr=(lr, 0, math.inf), momentum=(momentum, 0, math.inf), weight_decay=(weight_decay, 0, math.inf)
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

    def used(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the velocity where there is momentum."""
        return self.slots if group["momentum"] else ()

    def initialise(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Count steps anew where momentum is switched on later: in the first step the velocity is the gradient."""
        super().initialise(p, state, group)
        state["step"] = 0


class ASGD(Optimizer):
    r"""Averaged stochastic gradient descent: small steps with a rate that falls slowly, and the mean of the weights.

    .. math::
        w \leftarrow (1 - \lambda \eta_t) w - \eta_t g, \quad a \leftarrow a + \mu_t (w - a), \quad
        \eta_{t+1} = \frac{\eta}{(1 + \lambda \eta t)^\alpha}, \quad \mu_{t+1} = \frac{1}{\max(1, t - t_0)}

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        lambd: lambda, which shrinks the weights and lets the rate fall.
        alpha: power of the rate's fall.
        t0: step at which the average begins; before, it is the weights themselves.
        weight_decay: times the weights, added to the gradient.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992; Bottou, "Large-scale
    machine learning with stochastic gradient descent", 2010.

    State of a parameter: ``ax``, the average, of its shape, and the numbers ``eta`` and ``mu`` of the next step.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.ASGD([w], lr=0.1, lambd=0.0)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach(), optimizer.state[w]["ax"]
    (tensor([0.7000]), tensor([0.7000]))
    """

    take = staticmethod(ops.asgd_step)
    slots = ("ax",)
    numbers = ("eta", "mu")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_settings("ASGD", lr=(lr, 0, math.inf), weight_decay=(weight_decay, 0, math.inf))
        super().__init__(
            params,
            {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize},
        )

    def first_value(self, name: str, group: dict[str, Any]) -> float:
        """Start with the learning rate itself and with an average that is the weights."""
        return {"eta": float(group["lr"]), "mu": 1.0, "ax": 0.0}[name]

    def conclude(self, states: list[dict[str, Any]], group: dict[str, Any]) -> None:
        """Set the numbers of the next step."""
        step = states[0]["step"]
        eta = group["lr"] / (1 + group["lambd"] * group["lr"] * step) ** group["alpha"]
        for state in states:
            state["eta"], state["mu"] = eta, 1 / max(1, step - group["t0"])
