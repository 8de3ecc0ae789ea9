"""Products of matrices: every transposition, squares and the shapes of layers, batches, linear with its gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import Inputs, Run, builds, draw, forward_jax, normal, tensors_of

# (M, K, N): (M, K) @ (K, N). Which operands are transposed: N no, T yes, as in BLAS.
SQUARE = [(n, n, n) for n in (64, 128, 256, 512, 1024)]
TALL = [(4096, 64, 64), (64, 4096, 64)]
LAYERS = [(128, 256, 10), (128, 784, 256), (127, 783, 255)]
TRANSPOSITIONS = ("NN", "NT", "TN", "TT")
QUICK = {("NN", 512, 512, 512), ("NT", 128, 784, 256), ("NN", 1024, 1024, 1)}


def product(module: Any, a: Any, b: Any, transposition: str = "NN") -> Any:
    """Return op(a) @ op(b); for every library."""
    return (a.T if transposition[0] == "T" else a) @ (b.T if transposition[1] == "T" else b)


def product_backward(numpy: Any, a: Any, b: Any) -> Any:
    """Return a @ b and its pullback, in NumPy."""
    return a @ b, lambda g: {"a": g @ b.T, "b": a.T @ g}


def product_of_views(module: Any, inputs: Inputs, transposition: str) -> Run:
    """Build the product alone for autodiff, PyTorch and NumPy; the transposed views are made beforehand."""
    arrays = draw(inputs)
    a, b = (arrays if module.__name__ == "numpy" else tensors_of(module, arrays)).values()
    a, b = (x.T if letter == "T" else x for x, letter in zip((a, b), transposition))
    return lambda: {"output": module.matmul(a, b)}


def operands(m: int, k: int, n: int, transposition: str = "NN", dtype: str = "float32") -> Inputs:
    """Return the inputs of a product as they lie in memory, before they are transposed."""
    a, b = ((k, m) if transposition[0] == "T" else (m, k)), ((n, k) if transposition[1] == "T" else (k, n))
    return {"a": normal(*a, dtype=dtype), "b": normal(*b, dtype=dtype)}


def products() -> Iterator[Case]:
    """Yield the products of two matrices."""
    shapes: dict[tuple[int, int, int], tuple[str, ...]] = dict.fromkeys((*SQUARE, *TALL, *LAYERS), TRANSPOSITIONS)
    # Where one operand is a vector, its transposition changes nothing.
    shapes |= {(1, 1024, 1024): ("NN", "NT"), (1, 256, 10): ("NN", "NT"), (1024, 1024, 1): ("NN", "TN")}
    for transposition in TRANSPOSITIONS:
        for (m, k, n), wanted in shapes.items():
            if transposition in wanted:
                inputs = operands(m, k, n, transposition)
                own = partial(product_of_views, inputs=inputs, transposition=transposition)
                jax = partial(forward_jax, function=partial(product, transposition=transposition), inputs=inputs)
                yield Case(
                    f"kernels/matmul/{transposition}/{m}x{k}x{n}/kernel",
                    {"autodiff": own, "torch": own, "jax": jax, "numpy": own},
                    tolerance=1e-5,
                    quick=(transposition, m, k, n) in QUICK,
                )
    for m, k, n in SQUARE[2:4]:
        own = partial(product_of_views, inputs=operands(m, k, n, dtype="float64"), transposition="NN")
        yield Case(
            f"kernels/matmul/NN/{m}x{k}x{n}/float64/kernel",
            {"autodiff": own, "torch": own, "numpy": own},
            tolerance=1e-13,
            quick=False,
        )
    for m, k, n in ((64, 64, 64), (512, 512, 512), *LAYERS[1:]):
        yield Case(
            f"kernels/matmul/{m}x{k}x{n}",
            builds("forward+backward", product, operands(m, k, n), jax=product, numpy=product_backward),
            tolerance=1e-5,
            quick=(m, k, n) == (128, 784, 256),
        )


def vectors_and_batches() -> Iterator[Case]:
    """Yield products with vectors, and of many matrices at once."""
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "dot/100000": ((100_000,), (100_000,)),
        "matrix-vector/1024x1024": ((1024, 1024), (1024,)),
        "batched/64x16x16x16": ((64, 16, 16), (64, 16, 16)),
        "batched/32x64x32x64": ((32, 64, 32), (32, 32, 64)),
        "batched/24x256x64x256": ((24, 256, 64), (24, 64, 256)),
        "broadcast/32x128x256x64": ((32, 128, 256), (256, 64)),
    }
    for name, (a, b) in shapes.items():
        inputs = {"a": normal(*a), "b": normal(*b)}
        yield Case(
            f"kernels/matmul/{name}/kernel",
            builds("forward", product, inputs, jax=product, numpy=product),
            tolerance=1e-4 if name.startswith("dot") else 1e-5,  # the sum is small beside its terms
            quick=name == "batched/24x256x64x256",
        )
        if name.startswith("b"):
            yield Case(
                f"kernels/matmul/{name}",
                builds("forward+backward", product, inputs, jax=product),
                tolerance=1e-5,
                quick=False,
            )


def linear(module: Any, x: Any, weight: Any, bias: Any) -> Any:
    return module.nn.functional.linear(x, weight, bias)


def linear_jax(jax: Any, x: Any, weight: Any, bias: Any) -> Any:
    return x @ weight.T + bias


def linear_backward(numpy: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Return x @ weight.T + bias and its pullback, in NumPy."""
    return x @ weight.T + bias, lambda g: {"x": g @ weight, "weight": g.T @ x, "bias": g.sum(0)}


# What follows a linear layer: of x, of x and a residual.
def relu(module: Any, x: Any, weight: Any, bias: Any, residual: Any) -> Any:
    return module.nn.functional.relu(linear(module, x, weight, bias))


def gelu(module: Any, x: Any, weight: Any, bias: Any, residual: Any) -> Any:
    return module.nn.functional.gelu(linear(module, x, weight, bias))


def residual_relu(module: Any, x: Any, weight: Any, bias: Any, residual: Any) -> Any:
    return module.nn.functional.relu(residual + linear(module, x, weight, bias))


FOLLOWERS = {"relu": (relu, ("relu",)), "gelu": (gelu, ("gelu",)), "add-relu": (residual_relu, ("add", "relu"))}


def followed(module: Any, x: Any, weight: Any, bias: Any, residual: Any, steps: tuple[str, ...]) -> Any:
    """Return the same as autodiff's one operation."""
    others = (residual,) if "add" in steps else ()
    return module.primitive.OPERATIONS["followed"].call(x, weight, bias, *others, first=("linear", ()), steps=steps)


def layers_with_epilogues() -> Iterator[Case]:
    """Yield linear layers with what follows: for autodiff as one operation, as a compiled program has it."""
    for batch, features, outputs in [(64, 256, 256), (128, 784, 1024), (4096, 64, 64)]:
        inputs = {"x": normal(batch, features), "weight": normal(outputs, features), "bias": normal(outputs),
                  "residual": normal(batch, outputs)}
        for name, (function, steps) in FOLLOWERS.items():
            found = builds("forward", function, inputs)
            found["autodiff"] = builds("forward", partial(followed, steps=steps), inputs)["autodiff"]
            yield Case(f"kernels/linear/{batch}x{features}x{outputs}/{name}/kernel", found, tolerance=1e-5,
                       quick=(features, name) == (64, "relu"))


def layers() -> Iterator[Case]:
    """Yield linear layers with the gradients of all three operands."""
    shapes = [(32, 2, 32), (32, 32, 32), (128, 784, 256), (128, 256, 10), (127, 783, 255), (512, 128, 512),
              (1024, 384, 1536), (1, 1024, 1024), (1024, 1024, 1)]
    for batch, features, outputs in shapes:
        inputs = {"x": normal(batch, features), "weight": normal(outputs, features), "bias": normal(outputs)}
        yield Case(
            f"kernels/linear/{batch}x{features}x{outputs}",
            builds("forward+backward", linear, inputs, jax=linear_jax, numpy=linear_backward),
            tolerance=1e-5,
            quick=features == 2,
        )


def cases() -> Iterator[Case]:
    """Yield the products."""
    yield from products()
    yield from vectors_and_batches()
    yield from layers()
    yield from layers_with_epilogues()
