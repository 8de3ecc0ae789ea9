"""The errors that `docs/accuracy.md` states are those of the library."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy, exact

BOUNDS = accuracy.bounds(accuracy.FILE.read_text(encoding="utf-8"))
FUNCTIONS = (*accuracy.UNARY, *accuracy.BINARY)


def test_the_page_has_a_row_for_each_measurement() -> None:
    assert set(BOUNDS) - {"function", "operation"} == {
        *FUNCTIONS, *accuracy.ACTIVATIONS, *accuracy.SPECIAL, *(measure.__name__ for measure in accuracy.SUMS)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_within_2_ulp(name: str) -> None:
    assert max(BOUNDS[name]) <= 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_keep_to_the_page(name: str) -> None:
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double that is longer than a double")
    single, double = BOUNDS[name]
    assert accuracy.error(name, np.float32, part=199) <= single
    assert accuracy.error(name, np.float64, part=53) <= double


@pytest.mark.parametrize("name", [*accuracy.ACTIVATIONS, *accuracy.SPECIAL])
def test_special_functions_keep_to_the_page(name: str) -> None:
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double that is longer than a double")
    single, double = BOUNDS[name]
    assert accuracy.special_error(name, np.float32, part=20) <= single
    assert accuracy.special_error(name, np.float64, part=20) <= double


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("measure", accuracy.SUMS)
def test_sums_keep_to_the_page(measure: Callable[..., accuracy.Sum], dtype: Any) -> None:
    # Other data than the page's: the largest of fewer errors, and half as much again to be safe.
    if dtype == np.float64 and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double that is longer than a double")
    single, double = BOUNDS[measure.__name__]
    assert accuracy.sum_error(measure, dtype, part=8) <= 1.5 * (double if dtype == np.float64 else single) + 0.5


def test_exact_functions_are_those_of_the_standard_library() -> None:
    x = np.array([1e-3, 0.3, 0.9, 1.0, 1.7, 2.0, 3.2, 9.5, 26.0])
    wide = x.astype(np.longdouble)
    for function, expected in ((exact.erf, math.erf), (exact.erfc, math.erfc), (exact.lgamma, math.lgamma)):
        np.testing.assert_allclose(function(wide).astype(np.float64), list(map(expected, x)), rtol=1e-14)
    np.testing.assert_allclose(exact.erfinv(exact.erf(wide[:5])).astype(np.float64), x[:5], rtol=1e-15)
    assert float(exact.digamma(wide[3:4])[0] + exact.EULER) == pytest.approx(0, abs=1e-18)
    assert float(exact.polygamma(1, wide[3:4])[0] - exact.PI**2 / 6) == pytest.approx(0, abs=1e-18)
    # The derivative of digamma and of its derivative, by central differences.
    for n in (1, 2):
        before = exact.digamma if n == 1 else lambda v: exact.polygamma(1, v)
        slope = (before(wide + 1e-6) - before(wide - 1e-6)) / np.longdouble(2e-6)
        np.testing.assert_allclose(exact.polygamma(n, wide).astype(np.float64), slope.astype(np.float64), rtol=1e-5)


def test_an_error_is_measured_in_units_of_the_last_place() -> None:
    exact = np.array([1.0, 3.0, 1e-40, np.inf])
    assert accuracy.ulps(np.array([1.0, 3.0, 1e-40, np.inf], np.float32), exact) <= 0.5
    assert accuracy.ulps(np.array([1.0, 3 + 2**-21, 1e-40, np.inf], np.float32), exact) == 2
    assert accuracy.ulps(np.array([1.0, 3.0, 1e-40, 3e38], np.float32), exact) == np.inf
    assert accuracy.rounded_up(0.501) == "0.51"
    assert accuracy.rounded_up(0.5) == "0.50"
