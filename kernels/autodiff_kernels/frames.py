"""Sizes of what the kernels of convolution work on: frames of padded images, tables of places, sums of a bias.

They are asked for when memory is taken, before kernels run.
"""

from __future__ import annotations

import math

from autodiff_kernels.cpu import L2_BYTES, VECTOR_BYTES
from autodiff_kernels.lanes import TILE_VECTORS
from autodiff_kernels.matmul import STRETCH

Triple = tuple[int, int, int]
Frame = tuple[Triple, Triple]

FRAMES = L2_BYTES // 4  # bytes of the frames of images that are padded and convolved together
LEAST_FRAMES = 1 << 21  # bytes of all frames from which that pays: smaller ones stay in the caches anyway
# Bytes of the frames of images whose products for a weight's gradient are summed together, and of those at most: the
# same on any processor, as sums depend on them.
SUMMED, MOST_SUMMED = 1 << 19, 1 << 21
SEGMENTS, SEGMENTED = 16, 1 << 14  # of the images of a weight's gradient; numbers of weights up to which there are any
LEAST_UNITS = 16  # of images convolved together, so that threads get nearly equal shares


def forward_frame(x_shape: tuple[int, ...], w_shape: tuple[int, ...], out_shape: tuple[int, ...], stride: Triple,
                  padding: Triple, dilation: Triple) -> Frame:
    """Return the place of the image in the zero-padded frame that `forward` and `weight_gradient` read, and its size.

    The size is what the output reaches, so the padding behind the image need not equal that before it.
    ((0, 0, 0), (D, H, W)) means: use the image.

    >>> from autodiff_kernels.frames import forward_frame
    >>> one = (1, 1, 1)
    >>> forward_frame((8, 1, 5, 5, 3), (4, 3, 1, 3, 3), (8, 1, 5, 5, 4), one, padding=(0, 1, 1), dilation=one)
    ((0, 1, 1), (1, 7, 7))
    """
    size = [(out_shape[axis + 1] - 1) * stride[axis] + (w_shape[axis + 2] - 1) * dilation[axis] + 1
            for axis in range(3)]  # fmt: skip
    return _frame(x_shape, padding, (size[0], size[1], size[2]))


def data_gradient_frame(dy_shape: tuple[int, ...], w_shape: tuple[int, ...], dx_shape: tuple[int, ...], stride: Triple,
                        padding: Triple, dilation: Triple) -> Frame:
    """Return the place of the cotangent in the zero-padded frame that `data_gradient` reads, and its size.

    ((0, 0, 0), (OD, OH, OW)) means: use the cotangent itself.

    >>> from autodiff_kernels.frames import data_gradient_frame
    >>> one, two = (1, 1, 1), (1, 2, 2)
    >>> data_gradient_frame((8, 1, 3, 3, 4), (4, 3, 1, 3, 3), (8, 1, 5, 5, 3), two, padding=(0, 1, 1), dilation=one)
    ((0, 1, 1), (1, 4, 4))
    """
    begin = [max((w_shape[axis + 2] - 1) * dilation[axis] // stride[axis] - padding[axis] // stride[axis], 0)
             for axis in range(3)]  # fmt: skip
    size = [(dx_shape[axis + 1] - 1 + padding[axis]) // stride[axis] + begin[axis] + 1 for axis in range(3)]
    return _frame(dy_shape, (begin[0], begin[1], begin[2]), (size[0], size[1], size[2]))


def _frame(shape: tuple[int, ...], begin: Triple, size: Triple) -> Frame:
    inside = shape[1], shape[2], shape[3]
    if begin == (0, 0, 0) and all(wanted <= there for wanted, there in zip(size, inside, strict=True)):
        return begin, inside
    return begin, size


def images_together(images: int, frame: Triple, channels: int, itemsize: int) -> int:
    """Return how many images `forward_by_images` and `data_gradient_by_images` frame at a time; 0: they do not pay.

    >>> from autodiff_kernels.frames import images_together
    >>> images_together(8, (1, 34, 34), channels=16, itemsize=4)
    0
    """
    each = math.prod(frame) * channels * itemsize
    return min(max(FRAMES // max(each, 1), 1), images // LEAST_UNITS) if images * each > LEAST_FRAMES else 0


def segments_summed(images: int, positions: int, weights: int) -> int:
    """Return into how many segments `weight_gradient` divides the images, whose sums are added at last.

    Part of the result's definition. A weight of few numbers is one of few tiles: parts that shared those would frame
    and read the same images, each for itself. All segments but the last have half a stretch of positions or more.

    >>> from autodiff_kernels.frames import segments_summed
    >>> segments_summed(128, positions=1024, weights=16 * 27), segments_summed(128, positions=1024, weights=64 * 576)
    (16, 1)
    """
    each = max(-(-images // SEGMENTS), -(-STRETCH // max(positions, 1))) if weights <= SEGMENTED else images
    return max(-(-images // max(each, 1)), 1)


def images_summed(images: int, segments: int, frame: Triple, positions: int, channels: int, itemsize: int) -> int:
    """Return how many images `weight_gradient` frames and sums at a time; 0: all frames are made before.

    Part of the result's definition. They have no fewer positions than a stretch. Where there is but one segment, each
    part makes all frames, which does not pay for few or large images.

    >>> from autodiff_kernels.frames import images_summed
    >>> images_summed(128, 1, (1, 34, 34), positions=1024, channels=16, itemsize=4)
    7
    >>> images_summed(4, 1, (1, 34, 34), positions=1024, channels=16, itemsize=4)
    0
    """
    each = math.prod(frame) * channels * itemsize
    together = min(max(SUMMED // max(each, 1), -(-STRETCH // max(positions, 1))), -(-images // segments))
    pays = segments > 1 or (images * each > LEAST_FRAMES and 2 * together <= images)
    return together if pays and together * each <= MOST_SUMMED else 0


def offsets_scratch(w_shape: tuple[int, ...], groups: int, parts: int) -> int:
    """Return how many int64 of scratch `forward`, `data_gradient` and `weight_gradient` need.

    >>> from autodiff_kernels.frames import offsets_scratch
    >>> offsets_scratch((4, 3, 1, 3, 3), groups=1, parts=2)
    912
    """
    return parts * (2 * math.prod(w_shape[2:]) * max(w_shape[0] // groups, w_shape[1]) + STRETCH)


def totals_scratch(w_shape: tuple[int, ...], groups: int, itemsize: int) -> int:
    """Return the second size of the totals that `weight_gradient` needs for a bias: whole panels of each group.

    >>> from autodiff_kernels.frames import totals_scratch
    >>> totals_scratch((6, 2, 1, 3, 3), groups=3, itemsize=4) >= 6
    True
    """
    width = VECTOR_BYTES // itemsize * TILE_VECTORS
    return groups * -(-w_shape[0] // groups // width) * width
