"""Element-wise chains in three sizes, meant for the first cache, the larger ones, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import Build, Inputs, builds, normal, uniform

SIZES = {"small": 2_048, "medium": 131_072, "large": 6_291_456}


def add(module: Any, x: Any, y: Any) -> Any:
    return x + y


def multiply_add(module: Any, x: Any, y: Any, z: Any) -> Any:
    return x * y + z


def multiply_add_numpy(numpy: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z and its pullback."""
    return x * y + z, lambda g: {"x": g * y, "y": g * x, "z": g}


def unary(module: Any, x: Any, name: str) -> Any:
    """Return the function of this name, in the module or in `nn.functional`."""
    return getattr(module.nn.functional if name in ("gelu", "relu") else module, name)(x)


def unary_jax(jax: Any, x: Any, name: str) -> Any:
    """Return the function of this name; GELU is the exact one."""
    if name == "gelu":
        return jax.nn.gelu(x, approximate=False)
    return getattr(jax.numpy if name in ("exp", "tanh") else jax.nn, name)(x)


def tanh_numpy(numpy: Any, x: Any) -> Any:
    """Return tanh and its pullback."""
    y = numpy.tanh(x)
    return y, lambda g: {"x": g * (1 - y * y)}


def exp_numpy(numpy: Any, x: Any) -> Any:
    """Return exp and its pullback."""
    y = numpy.exp(x)
    return y, lambda g: {"x": g * y}


def sigmoid_numpy(numpy: Any, x: Any) -> Any:
    """Return the sigmoid and its pullback."""
    y = 1 / (1 + numpy.exp(-x))
    return y, lambda g: {"x": g * y * (1 - y)}


def tanh_gelu(module: Any, x: Any) -> Any:
    return module.nn.functional.gelu(x, approximate="tanh")


def tanh_gelu_jax(jax: Any, x: Any) -> Any:
    return jax.nn.gelu(x, approximate=True)


def gate(module: Any, x: Any, y: Any, z: Any) -> Any:
    """Return a gated cell's state; a chain that a compiler fuses."""
    s = module.sigmoid(x)
    return s * module.tanh(y) + (1 - s) * z


def gate_jax(jax: Any, x: Any, y: Any, z: Any) -> Any:
    """Return the same in JAX."""
    s = jax.nn.sigmoid(x)
    return s * jax.numpy.tanh(y) + (1 - s) * z


def transposed_add(module: Any, x: Any, y: Any) -> Any:
    return x + y.T


# Chains, and the same as the steps of autodiff's `fused`: x, y and z are 0 to 2, the first step is 3.


def gate_of_three(module: Any, x: Any, y: Any, z: Any) -> Any:
    """Return a gated state that needs no number: six operations."""
    s = module.sigmoid(x)
    return s * module.tanh(y) + (z - s * z)


def gate_of_three_jax(jax: Any, x: Any, y: Any, z: Any) -> Any:
    """Return the same in JAX."""
    s = jax.nn.sigmoid(x)
    return s * jax.numpy.tanh(y) + (z - s * z)


def choice(module: Any, x: Any, y: Any, z: Any) -> Any:
    return module.where(x > y, x * z, y)


def choice_jax(jax: Any, x: Any, y: Any, z: Any) -> Any:
    return jax.numpy.where(x > y, x * z, y)


def polynomial(module: Any, x: Any, y: Any, z: Any) -> Any:
    return ((x * y + z) * x - y) * z


CHAINS = {
    "multiply-add": (multiply_add, multiply_add, (("mul", (), (0, 1)), ("add", (), (3, 2)))),
    "choice": (choice, choice_jax, (("gt", (), (0, 1)), ("mul", (), (0, 2)), ("where", (), (3, 4, 1)))),
    "polynomial": (polynomial, polynomial, (
        ("mul", (), (0, 1)), ("add", (), (3, 2)), ("mul", (), (4, 0)), ("sub", (), (5, 1)), ("mul", (), (6, 2)),
    )),
    "gate": (gate_of_three, gate_of_three_jax, (
        ("sigmoid", (), (0,)), ("tanh", (), (1,)), ("mul", (), (3, 4)), ("mul", (), (3, 2)), ("sub", (), (2, 6)),
        ("add", (), (5, 7)),
    )),
}  # fmt: skip


def fused(module: Any, x: Any, y: Any, z: Any, name: str) -> Any:
    """Return a chain as autodiff's one operation."""
    steps = CHAINS[name][2]
    (result,) = module.primitive.OPERATIONS["fused"].call(x, y, z, steps=steps, results=(len(steps) - 1,))
    return result


# The functions by hand in NumPy.
BY_HAND = {"tanh": tanh_numpy, "exp": exp_numpy, "sigmoid": sigmoid_numpy}


def numpy_forward(numpy: Any, *inputs: Any, function: Any) -> Any:
    """Return the output alone of a function that is written with its pullback."""
    return function(numpy, *inputs)[0]


def row(name: str, found: dict[str, Build], quick: bool = False) -> Case:
    """Return a case of this family."""
    return Case(f"kernels/elementwise/{name}", found, tolerance=1e-5, quick=quick)


def cases() -> Iterator[Case]:
    """Yield the element-wise functions."""
    tiny: Inputs = {"x": normal(8), "y": normal(8)}
    yield row("add/8", builds("forward+backward", add, tiny, jax=add))
    yield row("add/8/kernel", builds("forward", add, tiny, jax=add, numpy=add))
    for place, n in SIZES.items():
        middle = place == "medium"
        three: Inputs = {"x": normal(n), "y": normal(n), "z": normal(n)}
        yield row(
            f"multiply-add/{place}/{n}",
            builds("forward+backward", multiply_add, three, jax=multiply_add, numpy=multiply_add_numpy),
            quick=middle,
        )
        yield row(
            f"multiply-add/{place}/{n}/kernel",
            builds("forward", multiply_add, three, jax=multiply_add, numpy=multiply_add),
        )
        for name in ("exp", "tanh", "sigmoid", "gelu"):
            one: Inputs = {"x": normal(n)}
            function, jax, hand = partial(unary, name=name), partial(unary_jax, name=name), BY_HAND.get(name)
            if name in ("exp", "gelu") or place != "large":
                found = builds("forward+backward", function, one, jax=jax, numpy=hand)
                yield row(f"{name}/{place}/{n}", found, quick=middle and name == "gelu")
            if name in ("exp", "gelu"):
                alone = None if hand is None else partial(numpy_forward, function=hand)
                found = builds("forward", function, one, jax=jax, numpy=alone)
                yield row(f"{name}/{place}/{n}/kernel", found, quick=middle and name == "exp")
        for name, (function, jax, _) in CHAINS.items():
            found = builds("forward", function, three, jax=jax)
            found["autodiff"] = builds("forward", partial(fused, name=name), three)["autodiff"]
            yield row(f"fused/{name}/{place}/{n}/kernel", found, quick=middle and name == "gate")
    n = SIZES["medium"]
    relu, relu_jax = (partial(f, name="relu") for f in (unary, unary_jax))
    found = builds("forward+backward", relu, {"x": normal(n)}, jax=relu_jax)
    yield row(f"relu/medium/{n}", found)
    found = builds("forward+backward", tanh_gelu, {"x": normal(n)}, jax=tanh_gelu_jax)
    yield row(f"gelu-by-tanh/medium/{n}", found)
    found = builds("forward+backward", gate, {"x": normal(n), "y": normal(n), "z": normal(n)}, jax=gate_jax)
    yield row(f"gate/medium/{n}", found)
    # Layouts: a vector along rows, a vector along columns, a transposed operand.
    for name, x, y, function in (
        ("row", (512, 256), (256,), add), ("column", (512, 256), (512, 1), add),
        ("transposed", (512, 256), (256, 512), transposed_add),
    ):
        found = builds("forward+backward", function, {"x": normal(*x), "y": uniform(*y)}, jax=function)
        yield row(f"add-{name}/512x256", found, quick=name == "row")
