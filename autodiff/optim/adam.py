"""Adam and its relatives: the step is a running average of gradients over the root of one of their squares."""

from __future__ import annotations

import math
from typing import Any

from autodiff import ops
from autodiff.ops.update_adam import nadam_momentum
from autodiff.optim.optimizer import Optimizer, check_pair, check_settings


def _check(name: str, lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    """Raise for the first of the settings that all have in common which is wrong."""
    check_pair(name, betas=betas)
    check_settings(
        name,
        lr=(lr, 0, math.inf),
        eps=(eps, 0, math.inf),
        beta1=(betas[0], 0, 1),
        beta2=(betas[1], 0, 1),
        weight_decay=(weight_decay, 0, math.inf),
    )


class Adam(Optimizer):
    r"""Adam: running averages of gradients and of their squares, both corrected for their start at zero.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        w \leftarrow w - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        betas: decay of the two averages.
        eps: added outside the root.
        weight_decay: times the weights, added to the gradient (L2); see `AdamW` for the other form.
        amsgrad: use the largest v so far.
        maximize: go up instead of down.
        decoupled_weight_decay: take the decay from the weights instead, as `AdamW` does.
        foreach, capturable, differentiable, fused: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; Reddi et al., "On the
    convergence of Adam and beyond", ICLR 2018, algorithm 2 (`amsgrad`).

    State of a parameter: ``exp_avg``, ``exp_avg_sq`` and, with `amsgrad`, ``max_exp_avg_sq``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.Adam([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000])
    """

    take = staticmethod(ops.adam_step)
    slots = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check(type(self).__name__, lr, betas, eps, weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def used(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return both averages, and the largest where it is wanted."""
        return self.slots if group["amsgrad"] else self.slots[:2]


class AdamW(Adam):
    r"""Adam with decoupled weight decay: :math:`w \leftarrow (1 - \eta \lambda) w` before Adam's step.

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        betas: decay of the two averages.
        eps: added outside the root.
        weight_decay: lambda.
        amsgrad: use the largest v so far.
        maximize: go up instead of down.
        foreach, capturable, differentiable, fused: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2. As in PyTorch the
    decay is multiplied by the learning rate.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w * 0).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9500])
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
        )


class NAdam(Optimizer):
    r"""Adam with Nesterov's momentum: the step takes the average of gradients as it will be one step later.

    .. math::
        \mu_t = \beta_1 (1 - 0.96^{t \psi} / 2), \quad
        w \leftarrow w - \eta \frac{\mu_{t+1} m / (1 - \prod_{i \le t+1} \mu_i) + (1 - \mu_t) g /
        (1 - \prod_{i \le t} \mu_i)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    with m and v of `Adam`.

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        betas: decay of the two averages.
        eps: added outside the root.
        weight_decay: times the weights, added to the gradient.
        momentum_decay: psi; how soon the momentum reaches the first of `betas`.
        decoupled_weight_decay: take the decay from the weights instead, as `AdamW` does.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    State of a parameter: ``exp_avg``, ``exp_avg_sq``, of its shape, and the number ``mu_product``.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.NAdam([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.item() < 1
    True
    """

    take = staticmethod(ops.nadam_step)
    slots = ("exp_avg", "exp_avg_sq")
    numbers = ("mu_product",)

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check("NAdam", lr, betas, eps, weight_decay)
        check_settings("NAdam", momentum_decay=(momentum_decay, 0, math.inf))
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )

    def first_value(self, name: str, group: dict[str, Any]) -> float:
        """Start the product of no momenta at 1."""
        return 1.0 if name == "mu_product" else 0.0

    def advance(self, states: list[dict[str, Any]], group: dict[str, Any]) -> None:
        """Count the step, and bring its momentum into the product."""
        super().advance(states, group)
        momentum = nadam_momentum(group["betas"][0], group["momentum_decay"], states[0]["step"])
        product = states[0]["mu_product"] * momentum
        for state in states:
            state["mu_product"] = product


class RAdam(Optimizer):
    r"""Adam whose step is rectified while few gradients have been seen, which takes the place of a warm-up.

    .. math::
        \rho = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \quad
        r = \sqrt{\frac{(\rho - 4)(\rho - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho}}, \quad
        w \leftarrow w - \eta r \frac{m}{1 - \beta_1^t} \frac{\sqrt{1 - \beta_2^t}}{\sqrt v + \epsilon}

    with m and v of `Adam` and :math:`\rho_\infty = 2 / (1 - \beta_2) - 1`; as long as :math:`\rho \le 5`, with 1 in
    place of r and of the last fraction.

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        betas: decay of the two averages.
        eps: added outside the root.
        weight_decay: times the weights, added to the gradient.
        decoupled_weight_decay: take the decay from the weights instead, as `AdamW` does.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020, algorithm 2.

    State of a parameter: ``exp_avg``, ``exp_avg_sq``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.RAdam([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.7000])
    """

    take = staticmethod(ops.radam_step)
    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check("RAdam", lr, betas, eps, weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
            },
        )


class Adamax(Optimizer):
    r"""Adam with a decaying maximum of the gradients' sizes in place of the root of their mean square.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad u \leftarrow \max(\beta_2 u, |g| + \epsilon), \quad
        w \leftarrow w - \frac{\eta}{1 - \beta_1^t} \frac{m}{u}

    Args:
        params: parameters or groups.
        lr: learning rate, eta.
        betas: decay of the average and of the maximum.
        eps: added to the size of a gradient.
        weight_decay: times the weights, added to the gradient.
        maximize: go up instead of down.
        foreach, capturable, differentiable: PyTorch's choices of an implementation; there is only one here.

    Raises:
        ValueRangeError: for a setting outside its range.

    Source: Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 2.

    State of a parameter: ``exp_avg``, ``exp_inf``, of its shape.

    >>> import autodiff as ad
    >>> w = ad.tensor([1.0], requires_grad=True)
    >>> optimizer = ad.optim.Adamax([w], lr=0.1)
    >>> (w * 3).sum().backward()
    >>> optimizer.step()
    >>> w.detach()
    tensor([0.9000])
    """

    take = staticmethod(ops.adamax_step)
    slots = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        _check("Adamax", lr, betas, eps, weight_decay)
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )
