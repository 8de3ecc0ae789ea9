"""Names: what PyTorch offers as a tensor method is one here too, as soon as its function exists."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import ops
from autodiff.errors import DTypeError, ShapeError


def public_operations() -> list[str]:
    return sorted(name for name in vars(ops) if not name.startswith("_") and inspect.isfunction(getattr(ops, name)))


def test_operations_that_are_methods_in_pytorch_are_methods_here() -> None:
    torch = pytest.importorskip("torch")
    missing = [n for n in public_operations() if hasattr(torch.Tensor, n) and not hasattr(ad.Tensor, n)]
    assert not missing, f"add a line to autodiff/methods.py for {', '.join(missing)}"


def test_operations_that_are_functions_in_pytorch_are_functions_here() -> None:
    torch = pytest.importorskip("torch")
    missing = [n for n in public_operations() if hasattr(torch, n) and not hasattr(ad, n)]
    assert not missing


def test_arguments_have_pytorchs_names_in_pytorchs_order() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    wrong = []
    for name in public_operations():
        theirs = getattr(functional, name, None)
        if not inspect.isfunction(theirs):
            continue
        deprecated = {"size_average", "reduce", "_stacklevel"}
        want = [p for p in inspect.signature(theirs).parameters if p not in deprecated]
        have = list(inspect.signature(getattr(ops, name)).parameters)
        if have[: len(want)] != want[: len(have)] and "args" not in want:
            wrong.append(f"{name}{tuple(have)} instead of {tuple(want)}")
    assert not wrong, "\n".join(wrong)


def test_import_is_light() -> None:
    heavy = ('numba', 'graphviz', 'matplotlib', 'sklearn', 'scipy')
    code = f"import sys, autodiff; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "[]"


BINARY: dict[str, Any] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b, "**": lambda a, b: a**b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b, "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}


@pytest.mark.parametrize("symbol", BINARY)
def test_operators_with_numbers_on_either_side(symbol: str) -> None:
    function = BINARY[symbol]
    array = np.array([1.0, 2.5, 4.0], np.float32)
    x = ad.tensor(array)
    for number in (2, 2.5, np.float32(3)):
        for ours, theirs in ((function(x, number), function(array, number)),
                             (function(number, x), function(number, array))):
            assert isinstance(ours, ad.Tensor)
            np.testing.assert_allclose(ours.numpy(), theirs.astype(ours.numpy().dtype), rtol=1e-6)
    np.testing.assert_allclose(function(x, x).numpy(), function(array, array), rtol=1e-6)


def test_operators_on_bools_and_matrices() -> None:
    a, b = ad.tensor([True, True, False]), ad.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (~a).tolist() == [False, False, True]
    assert (True ^ a).tolist() == [False, False, True]
    a &= b
    assert a.tolist() == [True, False, False]
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert (x @ x).tolist() == [[7, 10], [15, 22]]
    assert abs(-x).tolist() == x.tolist() == (+x).tolist()


def test_equality_with_what_is_no_number() -> None:
    x = ad.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True
    assert x != [x]
    assert {x: 1}[x] == 1
    with pytest.raises(DTypeError, match="from_numpy"):
        x + np.ones(2, np.float32)
    with pytest.raises(DTypeError, match="from_numpy"):
        np.ones(2, np.float32) + x
    with pytest.raises(DTypeError):
        x < None  # noqa: B015


def test_promotion_follows_pytorch() -> None:
    torch = pytest.importorskip("torch")
    dtypes = ["bool", "uint8", "int8", "int32", "int64", "float32", "float64"]

    def result(library: Any, function: str, *operands: Any) -> str:
        """Return the dtype of a function of (shape, dtype) pairs and numbers."""
        made = [library.ones(x[0], dtype=getattr(library, x[1])) if isinstance(x, tuple) else x for x in operands]
        return str(getattr(library, function)(*made).dtype).removeprefix("torch.")

    for first in dtypes:
        cases: list[Any] = [
            ("add", (left, first), (right, second)) for second in dtypes for left, right in ((2, 2), (2, ()), ((), 2))
        ]
        cases += [(function, (2, first), number) for function in ("mul", "div") for number in (True, 2, 2.5)]
        for case in cases:
            assert result(ad, *case) == result(torch, *case), case


def test_form_and_conversion() -> None:
    x = ad.arange(6, dtype=ad.float32).view(2, 3)
    assert (x.size(), x.size(-1), x.dim(), x.numel(), x.nelement(), x.element_size(), x.stride()) == ((2, 3), 3, 2, 6,
                                                                                                      6, 4, (3, 1))
    assert x.T.shape == (3, 2)
    assert not x.T.is_contiguous()
    assert x.mT.contiguous().is_contiguous()
    assert x.device == ad.device("cpu")
    assert str(x.device) == x.device.type == "cpu"
    assert not x.is_cuda
    for name in ("float64", "int64", "int32", "int16", "int8", "uint8", "bool", "float32"):
        dtype = getattr(ad, name)
        assert x.to(dtype).dtype == x.type(dtype).dtype == dtype
    assert x.to("cpu") is x.to(ad.device("cpu"), ad.float32) is x.cpu() is x.float() is x
    assert x.to(ad.tensor([1])).dtype == x.long().dtype == x.to("cpu", dtype=ad.int64).dtype == ad.int64
    assert x.to(ad.float32, copy=True) is not x
    assert x.type() == x.double().float().type() == "autodiff.FloatTensor"
    assert x.type(ad.LongTensor).dtype == x.type("torch.LongTensor").dtype == ad.int64
    assert x.new_zeros(2, 2).tolist() == [[0, 0], [0, 0]]
    assert x.double().new_ones((3,)).dtype == x.new_tensor([1], dtype=ad.float64).dtype == ad.float64
    assert x.new_full((2,), 7).tolist() == [7, 7]
    image = ad.zeros(2, 3, 4, 5).to(memory_format=ad.channels_last)
    assert image.is_contiguous(memory_format=ad.channels_last)
    assert image.stride() == (60, 1, 15, 3)
    assert image.contiguous().stride() == (60, 20, 5, 1)
    for wrong in (lambda: x.cuda(), lambda: x.to("cuda:0"), lambda: ad.device("cuda"), lambda: x.view(ad.int32)):
        with pytest.raises(DTypeError):
            wrong()
    with pytest.raises(ShapeError):
        x.size(2)
    assert not ad.cuda.is_available()
    ad.backends.cudnn.benchmark = True


def test_limits_of_dtypes() -> None:
    assert ad.finfo(ad.float64).eps == np.finfo(np.float64).eps
    assert ad.finfo(ad.float32).min == -ad.finfo(ad.float32).max
    assert ad.iinfo(ad.uint8).max == 255
    with pytest.raises(DTypeError):
        ad.finfo(ad.int64)
    ad.set_default_dtype(ad.float32)
    with pytest.raises(DTypeError):
        ad.set_default_dtype(ad.float64)


@pytest.mark.parametrize("function", ["sqrt", "abs", "log", "pow", "norm"])
def test_a_branch_not_taken_gives_no_nan(function: str) -> None:
    x = ad.tensor([0.0, 4.0], requires_grad=True)
    body = {"sqrt": ad.sqrt, "abs": lambda v: ad.sqrt(abs(v)), "log": ad.log, "pow": lambda v: v**-0.5,
            "norm": lambda v: 1 / v}
    ad.where(x > 0, body[function](x), 0.0).masked_fill(x < 1, 0.0).sum().backward()
    # The branch's own slope at 0 is infinite, times a cotangent of exactly zero: PyTorch gives the same numbers.
    assert np.isfinite(x.grad.numpy()[1])


def test_gradients_at_kinks_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    x = [-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, 20.0]
    cases: list[Any] = [
        ("abs", lambda m, F, v: m.abs(v)), ("relu", lambda m, F, v: F.relu(v)), ("relu6", lambda m, F, v: F.relu6(v)),
        ("hardtanh", lambda m, F, v: F.hardtanh(v)), ("clamp", lambda m, F, v: m.clamp(v, -1, 3)),
        ("clamp_min", lambda m, F, v: v.clamp(min=0)),
        ("maximum", lambda m, F, v: m.maximum(v, v * 0)), ("minimum", lambda m, F, v: m.minimum(v, v * 0 + 1)),
        ("sign", lambda m, F, v: m.sign(v)),
        ("round", lambda m, F, v: m.round(v)), ("hardswish", lambda m, F, v: F.hardswish(v)),
        ("hardsigmoid", lambda m, F, v: F.hardsigmoid(v)),
        ("leaky_relu", lambda m, F, v: F.leaky_relu(v)), ("elu", lambda m, F, v: F.elu(v, 2.0)),
        ("selu", lambda m, F, v: F.selu(v)),
        ("celu", lambda m, F, v: F.celu(v, 2.0)), ("softplus", lambda m, F, v: F.softplus(v)),
        ("softshrink", lambda m, F, v: F.softshrink(v)),
        ("hardshrink", lambda m, F, v: F.hardshrink(v)), ("threshold", lambda m, F, v: F.threshold(v, 0.5, 9.0)),
        ("sqrt", lambda m, F, v: m.sqrt(v)),
        ("pow0", lambda m, F, v: v**0), ("pow2", lambda m, F, v: v**2), ("pow3.0", lambda m, F, v: v**3.0),
        ("pow0.5", lambda m, F, v: v**0.5),
        ("tensor pow", lambda m, F, v: m.pow(v * v, v * v)), ("rsqrt", lambda m, F, v: m.rsqrt(v)),
        ("log", lambda m, F, v: m.log(v)),
        ("remainder", lambda m, F, v: m.remainder(v, v * 0 + 2)), ("fmod", lambda m, F, v: m.fmod(v, v * 0 - 2)),
        ("silu", lambda m, F, v: F.silu(v)),
        ("nan_to_num", lambda m, F, v: m.nan_to_num(m.log(v))),
        ("where", lambda m, F, v: m.where(v > 0, m.log(v), v * 0)),
        ("floor div", lambda m, F, v: m.div(v, 2, rounding_mode="floor") + v),
    ]
    for name, function in cases:
        ours = ad.tensor(x, requires_grad=True)
        function(ad, ops, ours).sum().backward()
        theirs = torch.tensor(x, requires_grad=True)
        function(torch, torch.nn.functional, theirs).sum().backward()
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "selu", "celu", "softplus", "silu", "gelu", "hardtanh"])
def test_second_derivatives_at_kinks_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library, functions in ((ad, ops), (torch, torch.nn.functional)):
        x = library.tensor([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], requires_grad=True)
        (first,) = library.autograd.grad(getattr(functions, name)(x).sum(), x, create_graph=True)
        (second,) = library.autograd.grad((first + 0 * x).sum(), x)
        found.append(second.numpy())
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def test_gradients_are_zero_and_not_missing_where_they_are_so_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = [[1.0, 0.0], [2.0, -1.0]]
    cases: dict[str, Any] = {
        "norm": lambda m, v: m.norm(v, 0), "vector_norm": lambda m, v: m.linalg.vector_norm(v, 0, dim=1),
        "linalg.norm": lambda m, v: m.linalg.norm(v[0], 0),
        "matrix_power": lambda m, v: m.linalg.matrix_power(v, 0),
        "addmm": lambda m, v: m.addmm(v, m.ones(2, 3), m.ones(3, 2), beta=0),
        "addmm, broadcast": lambda m, v: m.addmm(v[0], m.ones(2, 3), m.ones(3, 2), beta=0, alpha=2),
        "addmv": lambda m, v: m.addmv(v[0], m.ones(2, 3), m.ones(3), beta=0),
        "addr": lambda m, v: m.addr(v, m.ones(2), m.ones(2), beta=0),
        "baddbmm": lambda m, v: m.baddbmm(v, m.ones(2, 2, 3), m.ones(2, 3, 2), beta=0),
        "addbmm": lambda m, v: m.addbmm(v, m.ones(2, 2, 3), m.ones(2, 3, 2), beta=0),
    }
    for name, function in cases.items():
        found = []
        for library in (ad, torch):
            leaf = library.tensor(x, requires_grad=True)
            value = function(library, leaf)
            value.sum().backward()
            # PyTorch itself gives no gradient for the norm of order 0, though its result requires one.
            assert library is torch or leaf.grad is not None
            gradient = np.zeros((2, 2)) if leaf.grad is None else leaf.grad.numpy()
            found.append((value.detach().numpy(), gradient))
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_equal_medians_share_the_gradient_as_in_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    for row in ([2.0, 1.0, 2.0, 3.0, 2.0], [5.0, 1.0, 1.0, 5.0], [[2.0, 2.0], [2.0, 0.5]], [1.0, np.nan, 1.0, np.nan],
                [np.nan, np.nan], [np.inf, np.inf, 0.0], [-np.inf, 1.0, -np.inf], []):
        found = []
        for library in (ad, torch):
            leaf = library.tensor(np.array(row, np.float32), requires_grad=True)
            value = getattr(library, name)(leaf)
            value.backward()
            found.append((value.detach().numpy(), leaf.grad.numpy()))
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=str(row))


def test_margin_losses_at_kinks_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([[0.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 0.0]], np.float32)
    calls: list[Any] = [
        lambda m, v, several: m.nn.functional.multi_margin_loss(v, m.tensor([1, 2]), reduction="sum"),
        lambda m, v, several: m.nn.functional.multi_margin_loss(v, m.tensor([1, 2]), 2, 1.0, reduction="sum"),
        lambda m, v, several: m.nn.functional.multilabel_margin_loss(v, several, reduction="sum"),
        lambda m, v, several: m.nn.functional.triplet_margin_loss(v, v[:, :1] * 0, v * 0 + 1, reduction="sum"),
    ]
    for call in calls:
        found = []
        for library in (ad, torch):
            leaf = library.tensor(x, requires_grad=True)
            call(library, leaf, library.tensor([[1, 3, -1, 0], [2, -1, 0, 0]])).backward()
            found.append(leaf.grad.numpy())
        np.testing.assert_allclose(*found, rtol=1e-5)


def test_products_of_integers_keep_their_dtype() -> None:
    for dtype in (ad.uint8, ad.int16, ad.int32, ad.int64):
        x = ad.tensor([[1, 2], [3, 4]], dtype=dtype)
        for product in (x @ x, x.mm(x), x[None].bmm(x[None])[0], x.mv(x[0]), x[0].dot(x[1]),
                        ad.linalg.matrix_power(x, 3), ad.linalg.multi_dot([x, x, x]), ad.einsum("ij,jk->ik", x, x)):
            assert product.dtype == dtype
        assert ad.linalg.matrix_power(x, 3).tolist() == [[37, 54], [81, 118]]


def test_eigenvalues_that_would_be_complex() -> None:
    for name in ("eig", "eigvals"):
        assert not hasattr(ad.linalg, name)
        with pytest.raises(AttributeError, match=rf"no linalg.{name}: .* complex.*use linalg.eigh or linalg.eigvalsh"):
            getattr(ad.linalg, name)
    with pytest.raises(AttributeError, match="no attribute 'eigs'"):
        ad.linalg.eigs(ad.eye(2))


def test_files_of_operations_hide_no_module() -> None:
    assert ad.random.manual_seed is ad.manual_seed
    assert not hasattr(ad, "reduce")


def test_a_shape_is_a_size() -> None:
    assert isinstance(ad.ones(2, 3).shape, ad.Size)
    assert ad.Size([2, 3]) == (2, 3)


def test_a_dtype_that_does_not_exist() -> None:
    with pytest.raises(DTypeError, match="got foo"):
        ad.ones(2, dtype="foo")
