"""How the threads of a team divide a kernel's work."""

from __future__ import annotations

from numba import njit


@njit(error_model="numpy")
def share(n: int, part: int, parts: int) -> tuple[int, int]:
    """Return the half-open range of the `n` units of work that belong to `part` of `parts`.

    The ranges of all parts cover 0..n once, in order, and differ in length by at most one.
    """
    return n * part // parts, n * (part + 1) // parts


LINE = 64


@njit(error_model="numpy")
def share_of_elements(total: int, part: int, parts: int) -> tuple[int, int]:
    """Return this part's range of the element numbers; it begins at a multiple of `LINE`: no shared cache lines."""
    begin, end = share((total + LINE - 1) // LINE, part, parts)
    return min(LINE * begin, total), min(LINE * end, total)


COLUMNS = 16  # columns to a unit of work of kernels that work on some columns of all rows: whole cache lines


@njit(error_model="numpy")
def row_share(A: int, B: int, part: int, parts: int) -> tuple[int, int, int]:
    """Return (first, last, units): the units of `COLUMNS` columns that are this part's, and how many each a has."""
    units = (B + COLUMNS - 1) // COLUMNS
    low, high = share(A * units, part, parts)
    return low, high, max(units, 1)


@njit(error_model="numpy")
def columns(a: int, B: int, low: int, high: int, units: int) -> tuple[int, int]:
    """Return the half-open range of the columns of a that are among the units from low to high."""
    start, stop = max(low - a * units, 0), min(high - a * units, units)
    return min(start * COLUMNS, B), min(stop * COLUMNS, B)
