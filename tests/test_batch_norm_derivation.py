"""Batch norm's backward pass is the derivation of Ioffe and Szegedy, "Batch Normalization", ICML 2015, term by term."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad

EPS = 1e-5


def values(shape: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
    """Return x, gamma, beta and the cotangent of the result, in float64."""
    rng = np.random.default_rng(0)
    channels = shape[1]
    return (rng.standard_normal(shape) * 2 + 1, rng.standard_normal(channels), rng.standard_normal(channels),
            rng.standard_normal(shape))


@pytest.mark.parametrize("shape", [(16, 5), (4, 3, 5, 6)])
def test_every_term(shape: tuple[int, ...]) -> None:
    x, gamma, beta, dy = values(shape)
    over = (0, *range(2, len(shape)))
    count = x.size // shape[1]
    spread = (1, -1) + (1,) * (len(shape) - 2)

    # The derivation, on paper's symbols: sums run over all that shares a channel.
    mean = x.mean(over, keepdims=True)
    variance = ((x - mean) ** 2).mean(over, keepdims=True)
    x_hat = (x - mean) / np.sqrt(variance + EPS)
    d_x_hat = dy * gamma.reshape(spread)
    d_variance = (d_x_hat * (x - mean)).sum(over, keepdims=True) * -0.5 * (variance + EPS) ** -1.5
    d_mean = (-d_x_hat / np.sqrt(variance + EPS)).sum(over, keepdims=True) + d_variance * (-2 * (x - mean)).mean(
        over, keepdims=True)
    d_x = d_x_hat / np.sqrt(variance + EPS) + d_variance * 2 * (x - mean) / count + d_mean / count
    d_gamma, d_beta = (dy * x_hat).sum(over), dy.sum(over)

    # The same graph, node by node: each node's gradient is one term.
    leaf, weight, bias = (ad.tensor(value, dtype=ad.float64, requires_grad=True) for value in (x, gamma, beta))
    nodes: dict[str, ad.Tensor] = {"mean": leaf.mean(over, keepdim=True)}
    nodes["variance"] = ((leaf - nodes["mean"]) ** 2).mean(over, keepdim=True)
    nodes["x_hat"] = (leaf - nodes["mean"]) / ad.sqrt(nodes["variance"] + EPS)
    for node in nodes.values():
        node.retain_grad()
    y = nodes["x_hat"] * weight.reshape(spread) + bias.reshape(spread)
    y.backward(ad.tensor(dy))
    for name, want in (("x_hat", d_x_hat), ("variance", d_variance), ("mean", d_mean)):
        np.testing.assert_allclose(nodes[name].grad.numpy(), want, rtol=1e-10, atol=1e-12)

    # The layer's one kernel gives their sum.
    layer = (ad.nn.BatchNorm1d if len(shape) == 2 else ad.nn.BatchNorm2d)(shape[1], eps=EPS).double()
    with ad.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    one = ad.tensor(x, dtype=ad.float64, requires_grad=True)
    result = layer(one)
    result.backward(ad.tensor(dy))
    np.testing.assert_allclose(result.detach().numpy(), y.detach().numpy(), rtol=1e-10, atol=1e-12)
    for got, want in ((one.grad, d_x), (layer.weight.grad, d_gamma), (layer.bias.grad, d_beta),
                      (leaf.grad, d_x), (weight.grad, d_gamma), (bias.grad, d_beta)):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-11)

    # Inference uses the running mean, and the running variance with B / (B - 1).
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * mean.reshape(-1), rtol=1e-10)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * variance.reshape(-1) * count / (count - 1),
                               rtol=1e-10)
    layer.eval()
    running = (x - layer.running_mean.numpy().reshape(spread)) / np.sqrt(
        layer.running_var.numpy().reshape(spread) + EPS)
    np.testing.assert_allclose(layer(one).detach().numpy(), running * gamma.reshape(spread) + beta.reshape(spread),
                               rtol=1e-10, atol=1e-12)
