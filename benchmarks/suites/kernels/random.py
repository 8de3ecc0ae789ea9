"""Random numbers and dropout. Draws differ among libraries, so the answers are moments over a million of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case

Answers = dict[str, Any]
Build = tuple[Callable[[], Any], Callable[[], Answers]]

MILLION = 1_000_000
TOLERANCE = 1e-2  # five standard deviations of the largest difference of two moments


def moments(draws: Callable[[], Any], n: int) -> Answers:
    """Return mean and mean square over a million numbers of a function that draws n; integers are scaled to [0, 1)."""
    values = np.stack([np.asarray(draws()) for _ in range(max(1, MILLION // n))]).astype(np.float64)
    if values.max() > 10:
        values /= n
    return {"moments": np.array([values.mean(), np.square(values).mean()])}


def numbers(module: Any, name: str, n: int) -> Build:
    """Build draws by autodiff or PyTorch."""
    if name == "bernoulli":
        probabilities = module.full((n,), 0.3)
        run = partial(module.bernoulli, probabilities)
    elif name == "randint":
        run = partial(module.randint, n, (n,))
    else:
        run = partial(getattr(module, name), n)
    return run, lambda: moments(run, n)


def numbers_jax(jax: Any, name: str, n: int) -> Build:
    """Build draws by JAX, which split the key as its users do."""
    random = jax.random
    draw = {
        "rand": lambda key: random.uniform(key, (n,)),
        "randn": lambda key: random.normal(key, (n,)),
        "bernoulli": lambda key: random.bernoulli(key, 0.3, (n,)).astype("float32"),
        "randint": lambda key: random.randint(key, (n,), 0, n),
        "randperm": lambda key: random.permutation(key, n),
    }[name]
    key = random.key(0)

    @jax.jit
    def advance(key: Any) -> Any:
        key, own = random.split(key)
        return key, draw(own)

    def run() -> Any:
        nonlocal key
        key, values = advance(key)
        return values

    return run, lambda: moments(run, n)


def numbers_numpy(numpy: Any, name: str, n: int) -> Build:
    """Build draws by NumPy's default generator."""
    rng = numpy.random.default_rng(0)
    run = {
        "rand": partial(rng.random, n, np.float32),
        "randn": partial(rng.standard_normal, n, np.float32),
        "bernoulli": lambda: (rng.random(n, np.float32) < 0.3).astype(np.float32),
        "randint": partial(rng.integers, n, size=n),
        "randperm": partial(rng.permutation, n),
    }[name]
    return run, lambda: moments(run, n)


def dropout(module: Any, n: int) -> Build:
    """Build dropout of n numbers, forward and backward, for autodiff and PyTorch."""
    x, g = module.ones(n, requires_grad=True), module.ones(n)

    def run() -> Any:
        x.grad = None
        y = module.nn.functional.dropout(x, 0.4)
        y.backward(g)
        return y, x.grad

    return run, lambda: {"output": moments(lambda: run()[0].detach(), n), "gradient": moments(lambda: run()[1], n)}


def dropout_jax(jax: Any, n: int) -> Build:
    """Build the same for JAX."""
    x, g, key = jax.numpy.ones(n), jax.numpy.ones(n), jax.random.key(0)

    @jax.jit
    def advance(key: Any, x: Any, g: Any) -> Any:
        key, own = jax.random.split(key)

        def drop(x: Any) -> Any:
            return jax.numpy.where(jax.random.bernoulli(own, 0.6, x.shape), x / 0.6, 0)

        y, pullback = jax.vjp(drop, x)
        return key, y, *pullback(g)

    def run() -> Any:
        nonlocal key
        key, *found = advance(key, x, g)
        return found

    return run, lambda: {"output": moments(lambda: run()[0], n), "gradient": moments(lambda: run()[1], n)}


def cases() -> Iterator[Case]:
    """Yield the draws."""
    for name in ("rand", "randn", "bernoulli", "randint", "randperm"):
        for n in (1_000, MILLION) if name == "randn" else (MILLION,):
            own = partial(numbers, name=name, n=n)
            yield Case(
                f"kernels/random/{name}/{n}/kernel",
                {"autodiff": own, "torch": own, "jax": partial(numbers_jax, name=name, n=n),
                 "numpy": partial(numbers_numpy, name=name, n=n)},
                tolerance=TOLERANCE,
                quick=name == "randn" and n == MILLION,
            )
    for n in (16_384, MILLION):
        own = partial(dropout, n=n)
        builds = {"autodiff": own, "torch": own, "jax": partial(dropout_jax, n=n)}
        yield Case(f"kernels/random/dropout/{n}", builds, tolerance=TOLERANCE, quick=n == MILLION)
