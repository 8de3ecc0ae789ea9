"""The oracle itself: it imports nothing of ours, agrees with PyTorch where that is installed, and with known values."""

from __future__ import annotations

import ast
import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
from oracle import cases_nn  # noqa: F401 (adds to CASES)
from oracle.cases import CASES, normal

# Without PyTorch the comparisons are one skipped test each, not a thousand.
TORCH = importlib.util.find_spec("torch") is not None

OPTIMIZERS: list[tuple[str, str, dict[str, Any]]] = [
    ("sgd", "SGD", {"lr": 0.1}),
    ("sgd", "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "dampening": 0.1}),
    ("sgd", "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("adagrad", "Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("rmsprop", "RMSprop", {"lr": 0.1, "weight_decay": 0.1}),
    ("rmsprop", "RMSprop", {"lr": 0.1, "momentum": 0.9, "centered": True}),
    ("adadelta", "Adadelta", {"weight_decay": 0.1}),
    ("adam", "Adam", {"lr": 0.1}),
    ("adam", "Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    ("adamw", "AdamW", {"lr": 0.1, "weight_decay": 0.1}),
    ("adamw", "AdamW", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("rprop", "Rprop", {"lr": 0.1}),
    ("asgd", "ASGD", {"lr": 0.1, "lambd": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("nadam", "NAdam", {"lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("nadam", "NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("radam", "RAdam", {"lr": 0.1, "betas": (0.9, 0.8), "weight_decay": 0.1}),
    ("radam", "RAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("adamax", "Adamax", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
]
# Checked by hand below: they take a mask in place of a generator, or have a free sign. Or polygamma(1, x).
WITHOUT_CASES = {"dropout", "dropout2d", "linalg_eigh", "linalg_svd", "trigamma"}


def test_the_oracle_imports_numpy_and_nothing_of_ours() -> None:
    allowed = {"numpy", "math", "typing", "collections", "itertools", "__future__"}
    for file in (Path(__file__).parent / "oracle").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert str(node.module).split(".")[0] in allowed


def test_every_function_of_the_oracle_is_tested() -> None:
    tested = {name for name, _, _ in CASES} | {name for name, _, _ in OPTIMIZERS} | WITHOUT_CASES
    assert set(oracle.FUNCTIONS) == tested


def torch_function(torch: Any, name: str) -> Any:
    """Return PyTorch's function of that name."""

    def setitem(x: Any, index: Any, value: Any) -> Any:
        x[index] = value
        return x

    def running(x: Any, mean: Any, var: Any, momentum: float) -> Any:
        torch.nn.functional.batch_norm(x, mean, var, training=True, momentum=momentum)
        return mean, var

    different = {
        "getitem": lambda x, index: x[index],
        "setitem": setitem,
        "tensor_unfold": torch.Tensor.unfold,
        "batch_norm_running": running,
        "to": lambda x, dtype: x.to(torch.int64),
        "T": lambda x: x.T,
        "mT": lambda x: x.mT,
    }
    if name in different:
        return different[name]
    if name.startswith("linalg_"):
        return getattr(torch.linalg, name.removeprefix("linalg_"))
    if name.startswith("special_"):
        return getattr(torch.special, name.removeprefix("special_"))
    if name == "vector_norm":
        return torch.linalg.vector_norm
    homes = (torch.nn.functional, torch, torch.Tensor)
    return next(getattr(home, name) for home in homes if hasattr(home, name))


def to_torch(torch: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.array(value))
    if isinstance(value, tuple | list):
        return type(value)(to_torch(torch, item) for item in value)
    return value


# What PyTorch 2.13 misses the functions by in float64: J0(6) is 0.150645257250997 (NIST Digital Library of Mathematical
# Functions, 10), PyTorch says 0.150645200.
THEIR_ERRORS = {f"special_bessel_{name}": 1e-6 for name in ("j0", "j1", "y0", "y1")} | {"igamma": 1e-8, "igammac": 1e-8}


def assert_same(ours: Any, theirs: Any, relative: float) -> None:
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b, relative)
    elif theirs is None:
        assert ours is None
    else:
        a, b = np.asarray(ours), np.asarray(theirs)
        assert a.shape == b.shape
        assert a.dtype.kind == b.dtype.kind
        np.testing.assert_allclose(a, b, rtol=relative, atol=1e-11, equal_nan=True)


def label(number: int) -> str:
    return f"{CASES[number][0]}-{number}"


@pytest.mark.parametrize("number", range(len(CASES)) if TORCH else (), ids=label)
@pytest.mark.filterwarnings("ignore")  # PyTorch's deprecations
def test_agrees_with_pytorch(number: int) -> None:
    import torch

    name, args, kwargs = CASES[number]
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        torch_kwargs = {key: to_torch(torch, value) for key, value in kwargs.items()}
        theirs = torch_function(torch, name)(*to_torch(torch, args), **torch_kwargs)
    finally:
        torch.set_default_dtype(previous)
    assert_same(oracle.FUNCTIONS[name](*args, **kwargs), theirs, THEIR_ERRORS.get(name, 1e-9))


@pytest.mark.parametrize(("name", "torch_name", "settings"), OPTIMIZERS if TORCH else ())
def test_optimizer_agrees_with_pytorch(name: str, torch_name: str, settings: dict[str, Any]) -> None:
    import torch

    start, grads = normal(3), [normal(3) for _ in range(5)]
    p = torch.tensor(start, requires_grad=True)
    optimizer = getattr(torch.optim, torch_name)([p], **settings)
    for grad, ours in zip(grads, oracle.FUNCTIONS[name](start, grads, **settings), strict=True):
        p.grad = torch.tensor(grad)
        optimizer.step()
        # PyTorch keeps the changing numbers of these two in float32.
        np.testing.assert_allclose(ours, p.detach().numpy(), rtol=1e-6 if torch_name in ("ASGD", "NAdam") else 1e-9)


def test_known_values() -> None:
    """Values that need no library: from symmetry, from definitions, from arithmetic in the head."""
    f = oracle.FUNCTIONS
    same = np.testing.assert_allclose
    same(f["softmax"](np.zeros((2, 4)), 1), 0.25)
    same(f["cross_entropy"](np.zeros((2, 4)), np.array([0, 3])), math.log(4))
    same(
        f["conv2d"](np.ones((1, 2, 3, 3)), np.ones((1, 2, 3, 3)), padding=1)[0, 0],
        [[8, 12, 8], [12, 18, 12], [8, 12, 8]],
    )
    same(
        f["conv_transpose1d"](np.array([[[1.0, 2.0]]]), np.array([[[1.0, 1.0, 1.0]]]), stride=2)[0, 0], [1, 1, 3, 2, 2]
    )
    same(f["max_pool1d"](np.array([[[1.0, 3.0, 2.0, 4.0]]]), 2)[0, 0], [3, 4])
    same(f["avg_pool1d"](np.array([[[1.0, 3.0, 2.0, 4.0]]]), 2)[0, 0], [2, 3])
    same(f["interpolate"](np.array([[[0.0, 4.0]]]), 4, mode="linear")[0, 0], [0, 1, 3, 4])
    same(f["layer_norm"](np.array([1.0, 3.0]), (2,), eps=0), [-1, 1])
    same(f["scaled_dot_product_attention"](np.zeros((1, 2)), np.ones((3, 2)), np.arange(6.0).reshape(3, 2)), [[2, 3]])
    same(f["einsum"]("ii->", np.diag([1.0, 2.0])), 3)
    same(f["gelu"](np.array([0.0, 40.0, -40.0])), [0, 40, 0], atol=1e-300)
    same(
        f["lstm_cell"](np.zeros((1, 1)), (np.zeros((1, 1)), np.ones((1, 1))), np.zeros((4, 1)), np.zeros((4, 1)))[1],
        0.5,
    )
    same(f["sgd"](1.0, [1.0, 1.0], lr=0.5), [0.5, 0.0])
    same(f["adam"](1.0, [3.0], lr=0.5, eps=0), [0.5])
    same(f["rprop"](1.0, [2.0, 2.0, -1.0], lr=0.1), [0.9, 0.78, 0.78])
    matrix = np.arange(6.0).reshape(2, 3) + np.eye(2, 3)
    u, s, vh = f["linalg_svd"](matrix)
    same(u * s @ vh, matrix)
    values, vectors = f["linalg_eigh"](matrix @ matrix.T)
    same(vectors * values @ vectors.T, matrix @ matrix.T)
    same(values, np.sort(s**2))
    same(f["dropout"](np.ones(3), np.array([True, False, True]), 0.75), [4, 0, 4])
    same(f["dropout2d"](np.ones((1, 2, 2, 2)), np.array([[True, False]]), 0.5)[0, :, 0, 0], [2, 0])
