"""Vector registers of every width that this processor has give the same bits.

Except where a row is summed in lanes of registers (`rows.py`): softmax and norms are the same only up to rounding.
"""

from __future__ import annotations

import os
import subprocess
import sys
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

ad.manual_seed(0)
found = {}

def note(name, *tensors):
    found.update({f"{name} {i}": tensor.detach().numpy() for i, tensor in enumerate(tensors)})

def run(name, function, *shapes):
    leaves = [ad.randn(*shape).requires_grad_() for shape in shapes]
    result = function(*leaves)
    result.backward(ad.randn(*result.shape))
    note(name, result, *[leaf.grad for leaf in leaves])

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
run("attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    (2, 21, 9), (2, 21, 9), (2, 21, 9))
ad.manual_seed(1)
net = ad.nn.LSTM(7, 11)
optimizer = ad.optim.Adam(net.parameters())
for _ in range(2):
    optimizer.zero_grad()
    net(ad.randn(5, 3, 7))[0].square().mean().backward()
    optimizer.step()
note("training", *net.parameters())
np.savez(sys.argv[1], **found)
"""
ROUNDED = ("norms", "softmax")


def results(width: int, folder: Path) -> dict[str, Any]:
    """Return what the script above computes with registers of so many bytes; each width has a cache of its own."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]),
        "AUTODIFF_VECTOR_BYTES": str(width),
    }
    file = folder / f"{width}.npz"
    done = subprocess.run([sys.executable, "-c", RESULTS, str(file)], env=environment, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(file))


@pytest.mark.parametrize("width", [width for width in (16, 32) if width < VECTOR_BYTES])
def test_same_bits(width: int, tmp_path: Path) -> None:
    found, expected = results(width, tmp_path), results(VECTOR_BYTES, tmp_path)
    assert list(found) == list(expected)
    for name, value in expected.items():
        if name.startswith(ROUNDED):
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name], value, err_msg=name)
