"""How much scratch the operations of convolution take: little for each part, and padded frames and weights for all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from autodiff.ops.convolving import FAMILIES
from autodiff.primitive import EachPart
from autodiff.spec import Spec

# image (N, C, H, W), weight (O, C / groups, KH, KW), stride, padding, dilation, groups
CASES = [
    ((1, 8, 512, 512), (16, 8, 11, 11), 1, 5, 1, 1),
    ((2, 3, 224, 224), (64, 3, 7, 7), 2, 3, 1, 1),
    ((1, 3, 512, 2048), (32, 3, 9, 9), 1, 4, 1, 1),
    ((1, 4, 256, 256), (16, 4, 5, 5), 1, 8, 4, 1),
    ((8, 64, 56, 56), (64, 64, 3, 3), 1, 1, 1, 1),
    ((8, 256, 28, 28), (512, 256, 1, 1), 1, 0, 1, 1),
    ((8, 256, 28, 28), (512, 256, 1, 1), 2, 0, 1, 1),
    ((4, 96, 56, 56), (96, 1, 7, 7), 1, 3, 1, 96),
    ((4, 32, 64, 64), (64, 8, 3, 3), 2, 1, 1, 4),
    ((1, 512, 14, 14), (512, 512, 3, 3), 1, 1, 1, 1),
    ((4, 2048, 8, 8), (1024, 2048, 3, 3), 1, 1, 1, 1),
]
LIMIT = 2**21 + 2**10  # bytes for each part


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_scratch_is_bounded(case: Any, dtype: Any) -> None:
    image, weight, stride, padding, dilation, groups = case
    x, w = Spec.of(image, dtype), Spec.of(weight, dtype)
    geometry = {"stride": (stride,) * 2, "padding": (padding,) * 4, "dilation": (dilation,) * 2, "groups": groups,
                "rank": 2}
    forward, input_grad, weight_grad = FAMILIES[4]
    g = forward.infer(x, w, **geometry)
    calls = [(forward, (x, w), {}), (input_grad, (g, w), {"size": image[2:]}),
             (weight_grad, (g, x), {"kernel": weight[2:], "bias": True})]
    padded = max(n * c * math.prod(size + 2 * dilation * (k + 1) for size, k in zip(sizes, weight[2:], strict=True))
                 for n, c, *sizes in (image, g.shape))
    for primitive, inputs, more in calls:
        parameters = geometry | more
        out = primitive.infer(*inputs, **parameters)
        for spec in primitive.scratch(inputs, (out,) if isinstance(out, Spec) else out, **parameters):
            each = spec.spec if isinstance(spec, EachPart) else spec
            size = math.prod(each.shape) * each.dtype.itemsize
            # Those of all parts are the image with its frame, spread by the stride, or weights (Winograd's: 16 for 9).
            bound = LIMIT if each is not spec else max(padded * stride**2, 2 * w.size + 2**10) * x.dtype.itemsize
            assert size <= bound, (primitive.name, spec, bound)
