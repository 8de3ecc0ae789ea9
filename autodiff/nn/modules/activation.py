"""Activation functions as modules. The formulas stand with the functions of `nn.functional`."""

from __future__ import annotations

from typing import Any

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.attention import MultiheadAttention as MultiheadAttention  # PyTorch has it in this file
from autodiff.nn.parameter import Parameter, uninitialised


class _InPlace(Module):
    """An activation whose only option is to change its input in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """`functional.relu`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.ReLU()(ad.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class SELU(_InPlace):
    """`functional.selu`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.SELU()(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 1.0507])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class SiLU(_InPlace):
    """`functional.silu`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.SiLU()(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class Mish(_InPlace):
    """`functional.mish`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.Mish()(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class Hardswish(_InPlace):
    """`functional.hardswish`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.Hardswish()(ad.tensor([-4.0, 4.0])).tolist()
    [-0.0, 4.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """`functional.hardsigmoid`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.Hardsigmoid()(ad.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardtanh(Module):
    """`functional.hardtanh`.

    Args:
        min_val: lower limit.
        max_val: upper limit.
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.Hardtanh()(ad.tensor([-4.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """`functional.relu6`.

    Args:
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.ReLU6()(ad.tensor([-1.0, 8.0]))
    tensor([0., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """`functional.leaky_relu`.

    Args:
        negative_slope: factor of negative elements.
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.LeakyReLU(0.5)(ad.tensor([-1.0, 2.0]))
    tensor([-0.5000,  2.0000])
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """`functional.elu`.

    Args:
        alpha: minus the limit at -infinity.
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.ELU()(ad.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(ELU):
    """`functional.celu`.

    Args:
        alpha: minus the limit at -infinity.
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.CELU(2.0)(ad.tensor([-1.0, 2.0]))
    tensor([-0.7869,  2.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class GELU(Module):
    """`functional.gelu`.

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the approximation.

    >>> import autodiff as ad
    >>> ad.nn.GELU()(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Sigmoid(Module):
    """`functional.sigmoid`.

    >>> import autodiff as ad
    >>> ad.nn.Sigmoid()(ad.tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """`functional.tanh`.

    >>> import autodiff as ad
    >>> ad.nn.Tanh()(ad.tensor([1.0]))
    tensor([0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class LogSigmoid(Module):
    """`functional.logsigmoid`.

    >>> import autodiff as ad
    >>> ad.nn.LogSigmoid()(ad.tensor([0.0]))
    tensor([-0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softsign(Module):
    """`functional.softsign`.

    >>> import autodiff as ad
    >>> ad.nn.Softsign()(ad.tensor([1.0]))
    tensor([0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """`functional.tanhshrink`.

    >>> import autodiff as ad
    >>> ad.nn.Tanhshrink()(ad.tensor([1.0]))
    tensor([0.2384])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Softplus(Module):
    """`functional.softplus`.

    Args:
        beta: scale of the input.
        threshold: above it the function is the identity.

    >>> import autodiff as ad
    >>> ad.nn.Softplus()(ad.tensor([0.0]))
    tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardshrink(Module):
    """`functional.hardshrink`.

    Args:
        lambd: elements up to it in absolute value become 0.

    >>> import autodiff as ad
    >>> ad.nn.Hardshrink()(ad.tensor([0.4, 1.0]))
    tensor([0., 1.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """`functional.softshrink`.

    Args:
        lambd: every element moves towards 0 by this much.

    >>> import autodiff as ad
    >>> ad.nn.Softshrink()(ad.tensor([0.4, 1.0]))
    tensor([0.0000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Threshold(Module):
    """`functional.threshold`.

    Args:
        threshold: elements up to it are replaced.
        value: what replaces them.
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.Threshold(1.0, 9.0)(ad.tensor([0.5, 2.0]))
    tensor([9., 2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """`functional.prelu` with a learned slope.

    Args:
        num_parameters: 1, or the number of channels for a slope each.
        init: first value of the slopes.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameter; float32 by default.

    >>> import autodiff as ad
    >>> ad.nn.PReLU()(ad.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = uninitialised(num_parameters, dtype=dtype, device=device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to their first value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class GLU(Module):
    """`functional.glu`.

    Args:
        dim: dimension that is halved.

    >>> import autodiff as ad
    >>> ad.nn.GLU()(ad.tensor([2.0, 0.0]))
    tensor([1.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class _AlongDimension(Module):
    """A softmax: a function along one dimension."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDimension):
    """`functional.softmax`.

    Args:
        dim: the dimension.

    >>> import autodiff as ad
    >>> ad.nn.Softmax(dim=0)(ad.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class Softmin(_AlongDimension):
    """`functional.softmin`.

    Args:
        dim: the dimension.

    >>> import autodiff as ad
    >>> ad.nn.Softmin(dim=0)(ad.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class LogSoftmax(_AlongDimension):
    """`functional.log_softmax`.

    Args:
        dim: the dimension.

    >>> import autodiff as ad
    >>> ad.nn.LogSoftmax(dim=0)(ad.zeros(2))
    tensor([-0.6931, -0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class Softmax2d(Module):
    """`functional.softmax` over the channels of (N, C, H, W) or (C, H, W).

    >>> import autodiff as ad
    >>> ad.nn.Softmax2d()(ad.zeros(1, 4, 2, 2))[0, 0, 0, 0]
    tensor(0.2500)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, -3)


class RReLU(Module):
    """`functional.rrelu`: slopes below 0 that are drawn while training, and the middle slope in evaluation.

    Args:
        lower: least slope.
        upper: largest slope.
        inplace: change the input itself.

    >>> import autodiff as ad
    >>> ad.nn.RReLU(0.2, 0.3).eval()(ad.tensor([1.0, -2.0]))
    tensor([ 1.0000, -0.5000])
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")
