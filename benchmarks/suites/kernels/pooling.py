"""Pooling of images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import normal
from benchmarks.suites.kernels.images import both_layouts


def pool(module: Any, x: Any, name: str, **settings: Any) -> Any:
    return getattr(module.nn.functional, name)(x, **settings)


def max_pool_jax(jax: Any, x: Any, kernel_size: int, stride: int, padding: int = 0) -> Any:
    """Return the max pooling of (N, H, W, C)."""
    window, steps = (1, kernel_size, kernel_size, 1), (1, stride, stride, 1)
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return jax.lax.reduce_window(x, -jax.numpy.inf, jax.lax.max, window, steps, sides)


def average_pool_jax(jax: Any, x: Any, kernel_size: int, stride: int) -> Any:
    """Return the average pooling of (N, H, W, C)."""
    window, steps = (1, kernel_size, kernel_size, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, steps, "VALID") / kernel_size**2


def average_blocks_jax(jax: Any, x: Any, output_size: int) -> Any:
    """Return the average pooling of (N, H, W, C) to a size that divides its own."""
    n, size, _, channels = x.shape
    block = size // output_size
    return x.reshape(n, output_size, block, output_size, block, channels).mean((2, 4))


def cases() -> Iterator[Case]:
    """Yield the poolings."""
    for name, shape, jax, settings in (
        ("max_pool2d", (32, 64, 32, 32), max_pool_jax, {"kernel_size": 2, "stride": 2}),
        ("max_pool2d", (8, 64, 48, 48), max_pool_jax, {"kernel_size": 3, "stride": 2, "padding": 1}),
        ("avg_pool2d", (32, 64, 32, 32), average_pool_jax, {"kernel_size": 2, "stride": 2}),
        ("adaptive_avg_pool2d", (32, 64, 8, 8), average_blocks_jax, {"output_size": 1}),
        ("adaptive_avg_pool2d", (32, 64, 32, 32), average_blocks_jax, {"output_size": 4}),
    ):
        place = f"kernels/{name}/{'x'.join(map(str, shape))}/{'-'.join(str(value) for value in settings.values())}"
        function, own = partial(pool, name=name, **settings), partial(jax, **settings)
        yield from both_layouts(place, function, own, {"x": normal(*shape)}, name == "max_pool2d" and shape[0] == 32)
