"""Vector registers of every width that this processor has give the same bits, however many, and caches of other sizes.

Except where a row is summed in lanes of registers (`rows.py`), and in triangular systems, which are solved in blocks as
high as a tile: softmax, norms and these are the same only up to rounding.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autodiff_kernels.cpu import VECTOR_BYTES

ROOT = Path(__file__).resolve().parent.parent

RESULTS = """
import sys
import autodiff as ad
import numpy as np
from autodiff.nn import functional as F
from autodiff.primitive import OPERATIONS

file, *names = sys.argv[1:]
dtypes = [getattr(ad, name) for name in names]
ad.manual_seed(0)
found = {}

def note(name, *tensors):
    found.update({f"{name} {i}": tensor.detach().numpy() for i, tensor in enumerate(tensors)})

def run(name, function, *shapes):
    for dtype in dtypes:
        leaves = [ad.randn(*shape, dtype=dtype).requires_grad_() for shape in shapes]
        result = function(*leaves)
        result.backward(ad.randn(*result.shape, dtype=dtype))
        note(f"{name} {dtype}", result, *[leaf.grad for leaf in leaves])

for m, n, k in ((1, 70, 40), (40, 1, 70), (25, 67, 385), (130, 300, 20), (300, 5, 40), (9, 35, 1)):
    run(f"product {m} {n} {k}", lambda a, b: a @ b, (m, k), (k, n))
    run(f"turned product {m} {n} {k}", lambda a, b: a.T @ b.T, (k, m), (n, k))
run("linear", F.linear, (13, 300), (37, 300), (37,))
numbers = [ad.randn(*shape) for shape in [(13, 300), (37, 300), (37,), (), (13, 37)]]
for step in ("relu", "gelu", "gelu_tanh", "tanh", "sigmoid", "silu"):
    note(step, OPERATIONS["followed"].call(*numbers, first=("linear", ()), steps=("mul", "add", step)))
run("conv", lambda x, w: F.conv2d(x, w, padding=1), (2, 5, 9, 7), (18, 5, 3, 3))
followed = ad.compile(lambda x, w, b: F.gelu(F.conv2d(x, w, b, padding=1) + x))
for _ in range(3):
    note("followed", followed(ad.ones(2, 5, 9, 7) / 3, ad.ones(5, 5, 3, 3) / 7, ad.ones(5) / 9))
run("few channels", lambda x, w: F.conv2d(x, w, padding=1), (2, 3, 6, 5), (20, 3, 3, 2))
run("depthwise", lambda x, w, b: F.conv2d(x, w, b, padding=2, groups=35), (3, 35, 9, 13), (35, 1, 5, 4), (35,))
run("strides", lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=21), (3, 21, 9, 13), (21, 1, 3, 3))
run("tiles", lambda x, w: F.conv2d(x, w, padding=1), (5, 35, 9, 10), (33, 35, 3, 3))
run("one by one", lambda x, w: F.conv2d(x, w), (2, 19, 5, 7), (35, 19, 1, 1))
run("transposed", lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1), (2, 5, 6, 7), (5, 9, 3, 3))
run("volumes", lambda x, w: F.conv3d(x, w, padding=1), (1, 3, 4, 5, 6), (9, 3, 3, 2, 3))
run("channels", lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (3, 35, 5, 7), (35,), (35,))
run("norms of groups", lambda x: F.group_norm(x, 5) + F.instance_norm(x), (3, 35, 5, 7))
run("norms of squares", lambda x, w: F.rms_norm(x, (67,), w), (21, 67), (67,))
run("norms", lambda x, w, b: F.batch_norm(F.layer_norm(x, (19,)), None, None, w, b, True),
    (21, 19), (19,), (19,))
run("softmax", lambda x: F.softmax(x, 1) + F.log_softmax(x, 1), (11, 35))
run("planes", lambda x: F.softmax(x, 0) + F.log_softmax(x, 0) + x.logsumexp(0), (11, 35))
run("classes", lambda x: F.cross_entropy(x, ad.arange(105).reshape(3, 35) % 11, reduction="none"), (3, 11, 35))
run("softmax of labels", lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1), (11, 135), (11, 135))
run("labels", lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1, reduction="none"), (3, 11, 35), (3, 11, 35))
run("pooling", lambda x: F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1), (2, 35, 9, 7))
run("functions", lambda x: ad.tanh(x) + ad.exp(x) * ad.sin(x) + ad.sigmoid(x) + F.gelu(x), (1003,))
run("gamma", lambda x: ad.lgamma(x) + ad.digamma(x), (1003,))
run("sums", lambda x: x.sum() + x.mean(0).amax() + x.cumsum(1).square().sum(), (77, 131))
run("columns", lambda x: x.sum(0) + x.mean(0) * x.var(0) + x.amax(0) * x.prod(0), (77, 131))
run("triangles", lambda a, b: ad.linalg.solve_triangular(a.tril() + 9 * ad.eye(29, dtype=a.dtype), b, upper=False),
    (29, 29), (29, 41))
run("distances", lambda x, y: ad.cdist(x, y), (13, 21), (17, 21))
run("resizing", lambda x: F.interpolate(x, (9, 11), mode="bilinear"), (2, 19, 5, 7))
run("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    (2, 21, 9), (2, 21, 9), (2, 21, 9))
for kind in (ad.nn.LSTM, ad.nn.GRU):
    for dtype in dtypes:
        ad.manual_seed(1)
        net = kind(7, 11, dtype=dtype)
        optimizer = ad.optim.Adam(net.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            net(ad.randn(5, 3, 7, dtype=dtype))[0].square().mean().backward()
            optimizer.step()
        note(f"training {kind.__name__} {dtype}", *net.parameters())
np.savez(file, **found)
"""
ROUNDED = ("channels", "norms", "softmax", "triangles")


OTHERS = {  # than this processor has
    "AVX2": {"VECTOR_BYTES": 32, "VECTOR_REGISTERS": 16},
    "NEON": {"VECTOR_BYTES": 16, "VECTOR_REGISTERS": 32, "L1_BYTES": 1 << 17, "L2_BYTES": 1 << 14},
}


DTYPES = {"AVX2": ("float32", "float64"), "NEON": ("float32",)}  # it is compiling that takes the time


def results(numbers: dict[str, int], dtypes: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return what the script above computes with these numbers of the processor; each set has a cache of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    environment |= {f"AUTODIFF_{variable}": str(value) for variable, value in numbers.items()}
    file = folder / f"{len(list(folder.iterdir()))}.npz"
    done = subprocess.run([sys.executable, "-c", RESULTS, str(file), *dtypes], env=environment, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(file))


@pytest.mark.parametrize("name", [name for name, other in OTHERS.items() if other["VECTOR_BYTES"] < VECTOR_BYTES])
def test_same_bits(name: str, tmp_path: Path) -> None:
    found, expected = (results(numbers, DTYPES[name], tmp_path) for numbers in (OTHERS[name], {}))
    assert list(found) == list(expected)
    for key, value in expected.items():
        if key.startswith(ROUNDED):
            tolerance = 1e-4 if value.dtype == np.float32 else 1e-12
            np.testing.assert_allclose(found[key], value, rtol=tolerance, atol=tolerance / 100, err_msg=key)
        else:
            np.testing.assert_array_equal(found[key], value, err_msg=key)
