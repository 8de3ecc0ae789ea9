"""Optimizers that scale each weight's step by the history of its gradients."""

from __future__ import annotations

import math
from typing import Any

from autodiff import ops
from autodiff.optim.optimizer import Optimizer, check_settings


class Adagrad(Optimizer):
    r"""Adagrad: steps shrink with the sum of squared gradients.

    .. math:: s \leftarrow s + g^2, \quad w \leftarrow w - \frac{\eta}{1 + (t - 1) d} \frac{g}{\sqrt{s} + \epsilon}

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        lr_decay: d.
        weight_decay: times the weights, added to the gradient.
        initial_accumulator_value: of s.
        eps: added outside the root.
        maximize: go up instead of down.
        foreach, differentiable, fused: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Duchi et al., "Adaptive subgradient methods", JMLR 2011.

    State of a parameter: ``sum``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.Adagrad([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000])
    """

    take = staticmethod(ops.adagrad_step)
    slots = ("sum",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_settings(
            "Adagrad",
            lr=(lr, 0, math.inf),
            lr_decay=(lr_decay, 0, math.inf),
            eps=(eps, 0, math.inf),
            weight_decay=(weight_decay, 0, math.inf),
            initial_accumulator_value=(initial_accumulator_value, 0, math.inf),
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "eps": eps,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def first_value(self, name: str, group: dict[str, Any]) -> float:
        """Start the sum at its initial value."""
        return float(group["initial_accumulator_value"])


class RMSprop(Optimizer):
    r"""RMSprop: steps are scaled by a running average of squared gradients.

    .. math:: v \leftarrow \alpha v + (1 - \alpha) g^2, \quad w \leftarrow w - \eta \frac{g}{\sqrt{v} + \epsilon}

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        alpha: decay of the average.
        eps: added outside the root (TensorFlow and Keras: inside).
        weight_decay: times the weights, added to the gradient.
        momentum: of the step.
        centered: subtract the squared running average of the gradient under the root.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Tieleman & Hinton, "Neural networks for machine learning", lecture 6.5, 2012; centred: Graves, "Generating
    sequences with recurrent neural networks", 2013.

    State of a parameter: ``square_avg``, ``momentum_buffer`` with momentum, ``grad_avg`` when centred, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.RMSprop([w], lr=0.1, alpha=0.0)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000])
    """

    take = staticmethod(ops.rmsprop_step)
    slots = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_settings(
            "RMSprop",
            lr=(lr, 0, math.inf),
            alpha=(alpha, 0, math.inf),
            eps=(eps, 0, math.inf),
            weight_decay=(weight_decay, 0, math.inf),
            momentum=(momentum, 0, math.inf),
        )
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def used(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the averages that the settings use."""
        return (
            "square_avg",
            *(("momentum_buffer",) if group["momentum"] else ()),
            *(("grad_avg",) if group["centered"] else ()),
        )


class Adadelta(Optimizer):
    r"""Adadelta: steps in the units of the weights, from running averages of squared gradients and squared steps.

    .. math::
        v \leftarrow \rho v + (1 - \rho) g^2, \quad \Delta = \frac{\sqrt{d + \epsilon}}{\sqrt{v + \epsilon}} g, \quad
        d \leftarrow \rho d + (1 - \rho) \Delta^2, \quad w \leftarrow w - \eta \Delta

    Args:
        params: parameters or groups.
        lr: learning rate, eta; 1 in the paper.
        rho: decay of both averages.
        eps: added inside both roots.
        weight_decay: times the weights, added to the gradient.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    State of a parameter: ``square_avg``, ``acc_delta``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.Adadelta([w])
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.item() < 1
    True
    """

    take = staticmethod(ops.adadelta_step)
    slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_settings(
            "Adadelta",
            lr=(lr, 0, math.inf),
            rho=(rho, 0, 1),
            eps=(eps, 0, math.inf),
            weight_decay=(weight_decay, 0, math.inf),
        )
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})
