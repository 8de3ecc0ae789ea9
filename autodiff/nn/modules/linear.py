"""Matrix products with learned weights."""

from __future__ import annotations

import math
from typing import Any

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import counts
from autodiff.nn.parameter import Parameter, uninitialised


class Identity(Module):
    """Returns its input. Arguments of every kind are accepted and ignored, so that it can stand for any layer.

    >>> import autodiff as ad
    >>> ad.nn.Identity(54, unused=True)(ad.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """``input @ weight.T + bias``.

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: add a bias.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (out_features, in_features), uniform on ±1 / sqrt(in_features) at first.
        bias: (out_features,), the same; None without.

    >>> import autodiff as ad
    >>> ad.nn.Linear(3, 4)(ad.ones(2, 3)).shape
    (2, 4)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        counts("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = uninitialised(out_features, in_features, dtype=dtype, device=device)
        self.register_parameter("bias", uninitialised(out_features, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        # a = sqrt(5) makes He's bound 1 / sqrt(fan in).
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """`Linear` under the name that PyTorch gives the output projection of attention."""


class Bilinear(Module):
    """``input1 @ weight[k] @ input2 + bias[k]`` for every output feature k.

    Args:
        in1_features: size of the last dimension of the first input.
        in2_features: size of the last dimension of the second input.
        out_features: size of the last dimension of the output.
        bias: add a bias.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (out_features, in1_features, in2_features), uniform on ±1 / sqrt(in1_features) at first.
        bias: (out_features,), the same; None without.

    >>> import autodiff as ad
    >>> ad.nn.Bilinear(3, 4, 5)(ad.ones(2, 3), ad.ones(2, 4)).shape
    (2, 5)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        counts("Bilinear", in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = uninitialised(out_features, in1_features, in2_features, dtype=dtype, device=device)
        self.register_parameter("bias", uninitialised(out_features, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
                f"out_features={self.out_features}, bias={self.bias is not None}")
