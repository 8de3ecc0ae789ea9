"""Reductions over each axis and all of them, arg-reductions, scans and sorting."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import builds, normal

Axis = int | tuple[int, ...] | None

AXES: dict[str, Axis] = {"axis-0": 0, "axis-1": 1, "full": None}


def reduction(module: Any, x: Any, name: str, axis: Axis) -> Any:
    """Return a reduction; the variance is the unbiased one, PyTorch's default."""
    return getattr(module, name)(x) if axis is None else getattr(module, name)(x, axis)


def reduction_jax(jax: Any, x: Any, name: str, axis: Axis) -> Any:
    return x.var(axis, ddof=1) if name == "var" else getattr(jax.numpy, name)(x, axis)


def reduction_numpy(numpy: Any, x: Any, name: str, axis: Axis) -> Any:
    return x.var(axis, ddof=1) if name == "var" else getattr(numpy, name)(x, axis)


def scan_or_sort(module: Any, x: Any, name: str) -> Any:
    """Return what the function of this name finds along dimension 1, values only."""
    if name == "argmax":
        return module.argmax(x, 1)
    if name == "topk":
        return module.topk(x, 10, 1)[0]
    found = getattr(module, name)(x, 1)
    return found if name == "cumsum" else found[0]


def scan_or_sort_jax(jax: Any, x: Any, name: str) -> Any:
    """Return the same in JAX."""
    return jax.lax.top_k(x, 10)[0] if name == "topk" else getattr(jax.numpy, name)(x, 1)


def cases() -> Iterator[Case]:
    """Yield the reductions."""
    for name in ("sum", "mean", "amax", "var"):
        for place, axis in AXES.items():
            options: dict[str, Any] = {"name": name, "axis": axis}
            function, jax, hand = (partial(f, **options) for f in (reduction, reduction_jax, reduction_numpy))
            inputs = {"x": normal(1024, 1024, mean=0.5)}
            found = builds("forward+backward", function, inputs, jax=jax)
            yield Case(f"kernels/reduction/{name}/1024x1024/{place}", found, quick=name == "sum" and axis == 1)
            if name in ("sum", "amax"):
                found = builds("forward", function, inputs, jax=jax, numpy=hand)
                quick = name == "amax" and axis == 0
                yield Case(f"kernels/reduction/{name}/1024x1024/{place}/kernel", found, quick=quick)
    for shape, axis in (
        ((2_048,), None), ((131_072,), None), ((6_291_456,), None), ((64, 256, 64), 1), ((32, 64, 32, 32), (0, 2, 3)),
        ((32, 64, 32, 32), (2, 3)), ((8_192, 16), 1),
    ):
        place = "full" if axis is None else f"axis-{'-'.join(map(str, axis if isinstance(axis, tuple) else (axis,)))}"
        function, jax, hand = (
            partial(f, name="sum", axis=axis) for f in (reduction, reduction_jax, reduction_numpy)
        )
        found = builds("forward", function, {"x": normal(*shape, mean=0.5)}, jax=jax, numpy=hand)
        yield Case(f"kernels/reduction/sum/{'x'.join(map(str, shape))}/{place}/kernel", found, quick=False)
    for name in ("argmax", "cumsum", "sort", "topk"):
        function, jax = (partial(f, name=name) for f in (scan_or_sort, scan_or_sort_jax))
        found = builds("forward", function, {"x": normal(256, 1000)}, jax=jax)
        yield Case(f"kernels/{name}/256x1000/kernel", found, quick=False)
