"""Which taps of a convolution meet the image, along one axis: for kernels that read images without a frame of zeros."""

from __future__ import annotations

from numba import njit

from autodiff_kernels.convolution import taps_of_residue

# Of an output's taps along one axis: the first one, the hop to the next, where the first one reads in the image, how
# much further the next one reads, and how many they are.
Taps = tuple[int, int, int, int, int]


@njit(error_model="numpy")
def taps_at(place: int, kernel: int, stride: int, padding: int, dilation: int, transposed: int) -> Taps:
    """Return the taps of the output at a place of one axis; transposed, of the gradient with respect to the image."""
    if transposed:
        first, hop, taps = taps_of_residue(kernel, stride, dilation, (place + padding) % stride)
        return first, hop, (place + padding - first * dilation) // stride, -(hop * dilation // stride), taps
    return 0, 1, place * stride - padding, dilation, kernel


@njit(error_model="numpy")
def range_inside(at: int, move: int, count: int, size: int) -> tuple[int, int]:
    """Return the range of `count` taps that read inside an image of this size, the first one at `at`."""
    before, distance = (at, move) if move > 0 else (size - 1 - at, -move)
    begin = min(max(-(before // distance), 0), count)
    return begin, max(min((size - 1 - before) // distance + 1, count), begin)


@njit(error_model="numpy")
def inside(taps: Taps, size: int) -> Taps:
    """Return those of the taps that read inside an image of this size."""
    first, hop, at, move, count = taps
    begin, end = range_inside(at, move, count, size)
    return first + begin * hop, hop, at + begin * move, move, end - begin
