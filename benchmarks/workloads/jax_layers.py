"""Layers as functions for the JAX workloads. Each takes parameters by PyTorch's names, below a prefix."""

from __future__ import annotations

from typing import Any

from benchmarks.training import Shapes

EPSILON = 1e-5  # of batch and layer norm
SHARE = 0.1  # of the batch in the running statistics of batch norm, PyTorch's `momentum`


def linear_shapes(prefix: str, inputs: int, outputs: int, bias: bool = True) -> Shapes:
    """Return the table of an ``nn.Linear``."""
    return {f"{prefix}.weight": (outputs, inputs)} | ({f"{prefix}.bias": (outputs,)} if bias else {})


def conv_shapes(prefix: str, inputs: int, outputs: int, size: int, bias: bool = True) -> Shapes:
    """Return the table of an ``nn.Conv2d`` with a square kernel."""
    return {f"{prefix}.weight": (outputs, inputs, size, size)} | ({f"{prefix}.bias": (outputs,)} if bias else {})


def norm_shapes(prefix: str, features: int, running: bool = False) -> Shapes:
    """Return the table of an ``nn.LayerNorm``, or, with running statistics, of an ``nn.BatchNorm``."""
    names = ("weight", "bias", "running_mean", "running_var") if running else ("weight", "bias")
    return {f"{prefix}.{name}": (features,) for name in names}


def linear(parameters: Any, prefix: str, x: Any) -> Any:
    """Apply an ``nn.Linear`` to the last dimension."""
    y = x @ parameters[f"{prefix}.weight"].T
    return y + parameters[f"{prefix}.bias"] if f"{prefix}.bias" in parameters else y


def conv(parameters: Any, prefix: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
    """Apply an ``nn.Conv2d`` to (N, H, W, C)."""
    from jax import lax

    y = lax.conv_general_dilated(
        x,
        parameters[f"{prefix}.weight"],
        window_strides=(stride, stride),
        padding=((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + parameters[f"{prefix}.bias"] if f"{prefix}.bias" in parameters else y


def batch_norm(parameters: Any, statistics: Any, prefix: str, x: Any) -> tuple[Any, Any]:
    """Apply an ``nn.BatchNorm`` in training to all dimensions but the last; return the new running statistics, too."""
    from jax import lax

    axes = tuple(range(x.ndim - 1))
    count = x.size // x.shape[-1]
    mean, variance = x.mean(axes), x.var(axes)
    y = (x - mean) * (lax.rsqrt(variance + EPSILON) * parameters[f"{prefix}.weight"]) + parameters[f"{prefix}.bias"]
    seen = {"running_mean": mean, "running_var": variance * (count / (count - 1))}
    moved = {f"{prefix}.{k}": (1 - SHARE) * statistics[f"{prefix}.{k}"] + SHARE * s for k, s in seen.items()}
    return y, statistics | lax.stop_gradient(moved)


def layer_norm(parameters: Any, prefix: str, x: Any) -> Any:
    """Apply an ``nn.LayerNorm`` to the last dimension."""
    from jax import lax

    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    y = (x - mean) * lax.rsqrt(variance + EPSILON)
    return y * parameters[f"{prefix}.weight"] + parameters[f"{prefix}.bias"]


def max_pool(x: Any, size: int) -> Any:
    """Apply an ``nn.MaxPool2d(size)`` to (N, H, W, C)."""
    from jax import lax
    from jax import numpy as jnp

    return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, size, size, 1), "VALID")


def cross_entropy(scores: Any, labels: Any) -> Any:
    """Return the mean cross-entropy of the softmax over the last dimension; labels are class numbers."""
    import jax
    from jax import numpy as jnp

    chosen = jnp.take_along_axis(jax.nn.log_softmax(scores), labels[..., None], axis=-1)
    return -chosen.mean()
