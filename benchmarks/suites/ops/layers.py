"""Products, convolutions, pooling, norms, attention and recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from benchmarks.suites.ops.table import (
    MATRIX,
    ROWS,
    VECTOR,
    Input,
    Shapes,
    constant,
    distinct,
    entries,
    orders,
    reals,
    regular,
    weights,
    whole,
)

# Products
SQUARE: Shapes = ((32, 32), (256, 256), (1024, 1024))
SIDE: Shapes = ((32,), (256,), (1024,))
BATCHES: Shapes = ((4, 16, 16), (16, 64, 64), (64, 256, 256))
A, B, BATCH, SQUARE_BIAS = reals(SQUARE), weights(SQUARE), reals(BATCHES), reals(SIDE)
SOLVED: Shapes = ((8, 8), (64, 64), (300, 300))
WELL = regular(SOLVED)
X, V = reals(MATRIX), reals(ROWS)
TRIPLES: Shapes = ((300, 3), (30_000, 3), (1_000_000, 3))
WHOLE = whole(((32, 32), (128, 128), (400, 400)), (10, 10, 10))

# Images (batch, channels, height, width) and signals (batch, channels, length)
IMAGE: Shapes = ((2, 4, 12, 12), (4, 16, 40, 40), (16, 64, 64, 64))
KERNEL: Shapes = ((4, 4, 3, 3), (16, 16, 3, 3), (64, 64, 3, 3))
CHANNELS: Shapes = ((4,), (16,), (64,))
VOLUME: Shapes = ((1, 4, 4, 8, 8), (2, 16, 8, 20, 20), (4, 32, 16, 40, 40))
VOLUME_KERNEL: Shapes = ((4, 4, 3, 3, 3), (16, 16, 3, 3, 3), (32, 32, 3, 3, 3))
VOLUME_CHANNELS: Shapes = ((4,), (16,), (32,))
SIGNAL: Shapes = ((4, 8, 32), (8, 32, 400), (16, 128, 2000))
SIGNAL_KERNEL: Shapes = ((8, 8, 5), (32, 32, 5), (128, 128, 5))
SIGNAL_CHANNELS: Shapes = ((8,), (32,), (128,))
IMAGES, DISTINCT_IMAGES, SIGNALS, DISTINCT_SIGNALS = reals(IMAGE), distinct(IMAGE), reals(SIGNAL), distinct(SIGNAL)
VOLUMES, DISTINCT_VOLUMES = reals(VOLUME), distinct(VOLUME)
SCALE, SHIFT = reals(CHANNELS, 0.5, 1.5), reals(CHANNELS)
RUNNING = (constant(reals(CHANNELS)), constant(reals(CHANNELS, 0.5, 1.5)))

# Attention (batch, heads, length, features) and recurrent layers
HEADS: Shapes = ((2, 2, 8, 32), (4, 4, 100, 64), (4, 8, 512, 64))
TOKENS: Shapes = ((8, 4, 32), (100, 8, 128), (256, 16, 512))  # length, batch, features


def in_planes(shapes: Shapes) -> Input:
    """Return places in planes of as many elements as those of the shapes (batch, channels, ...), each once."""
    small, medium, large = ((*shape[:2], math.prod(shape[2:])) for shape in shapes)
    return orders((small, medium, large))


def unpooled(unpool: Callable[..., Any], x: Any, places: Any) -> Any:
    """Return the elements at their places in a plane of twice the size."""
    return unpool(x, places.reshape(x.shape), 2)


def with_last_size(norm: Callable[..., Any], x: Any, *parameters: Any) -> Any:
    """Normalise over the last dimension."""
    return norm(x, x.shape[-1:], *parameters)


def attend(attention: Callable[..., Any], x: Any, *projections: Any) -> Any:
    """Return multi-head self-attention with 4 heads, without the weights."""
    in_weight, in_bias, out_weight, out_bias = projections
    return attention(
        x, x, x, x.shape[2], 4, in_weight, in_bias, None, None, False, 0.0, out_weight, out_bias, need_weights=False
    )[0]


def folded(fold: Callable[..., Any], columns: Any) -> Any:
    """Put square images together from windows of 3 x 3."""
    side = math.isqrt(columns.shape[2]) + 2
    return fold(columns, (side, side), 3)


def step_with_memory(cell: Callable[..., Any], x: Any, h: Any, c: Any, *parameters: Any) -> Any:
    """Call a cell with two states."""
    return cell(x, (h, c), *parameters)


def layer(recurrent: Callable[..., Any], x: Any, h: Any, *parameters: Any) -> Any:
    """Run one recurrent layer over the sequence."""
    return recurrent(x, h, parameters, True, 1, 0.0, True, False, False)


def layer_with_memory(recurrent: Callable[..., Any], x: Any, h: Any, c: Any, *parameters: Any) -> Any:
    """Run one recurrent layer with two states over the sequence."""
    return recurrent(x, (h, c), parameters, True, 1, 0.0, True, False, False)


def recurrent_parameters(features: tuple[int, int, int], gates: int) -> tuple[Input, ...]:
    """Return both weights and both biases."""
    small, medium, large = features
    weight = weights(((gates * small, small), (gates * medium, medium), (gates * large, large)))
    bias = reals(((gates * small,), (gates * medium,), (gates * large,)))
    return weight, weight, bias, bias


STATE = reals(((32, 32), (128, 256), (512, 512)))
SEQUENCE = reals(((8, 4, 32), (32, 16, 128), (64, 64, 256)))
START = reals(((1, 4, 32), (1, 16, 128), (1, 64, 256)))
CELL, LAYER = (32, 256, 512), (32, 128, 256)

ENTRIES = [
    # Products
    *entries("matmul mm", A, B),
    *entries("integer_matmul", WHOLE, WHOLE, path="matmul", gradient=False),
    *entries("linear", A, B, SQUARE_BIAS),
    *entries("addmm", SQUARE_BIAS, A, B),
    *entries("bmm", BATCH, BATCH),
    *entries("baddbmm", BATCH, BATCH, BATCH),
    *entries("mv", X, V),
    *entries("addmv", V, X, V),
    *entries("dot", reals(VECTOR), reals(VECTOR)),
    *entries("outer", V, V),
    *entries("inner", A, B),
    *entries("kron", reals(((4, 4), (16, 16), (40, 40))), reals(((8, 8), (20, 20), (50, 50)))),
    *entries("tensordot", BATCH, BATCH, dims=((0, 2), (0, 1))),
    *entries("einsum", BATCH, BATCH, call=lambda einsum, x, y: einsum("bij,bkj->bik", x, y)),
    *entries("bilinear", reals(((32, 16), (128, 32), (512, 64))), reals(((32, 16), (128, 32), (512, 64))),
             reals(((16, 16, 16), (32, 32, 32), (64, 64, 64)), -0.1, 0.1), reals(((16,), (32,), (64,)))),
    *entries("addr", A, SQUARE_BIAS, SQUARE_BIAS),
    *entries("addbmm", reals(((16, 16), (64, 64), (256, 256))), BATCH, BATCH),
    *entries("vdot", reals(VECTOR), reals(VECTOR)),
    *entries("cross", reals(TRIPLES), reals(TRIPLES), dim=1),
    *entries("linalg_cross", reals(TRIPLES), reals(TRIPLES), path="linalg.cross"),
    *entries("linalg_multi_dot", A, B, B, path="linalg.multi_dot", call=lambda product, *factors: product(factors)),
    # Linear algebra
    *entries("linalg_inv", WELL, path="linalg.inv", tolerance=1e-3),
    *entries("linalg_det", WELL, path="linalg.det", tolerance=1e-3),
    *entries("linalg_slogdet", WELL, path="linalg.slogdet", tolerance=1e-3),
    *entries("linalg_solve", WELL, reals(SOLVED), path="linalg.solve", tolerance=1e-3),
    *entries("linalg_qr", WELL, path="linalg.qr", tolerance=1e-3),
    *entries("linalg_cholesky", WELL, path="linalg.cholesky", tolerance=1e-3,
             call=lambda cholesky, x: cholesky(x @ x.mT + 1)),
    *entries("linalg_eigh", WELL, path="linalg.eigh", tolerance=1e-2, call=lambda eigh, x: eigh(x + x.mT)[0]),
    *entries("linalg_svd", WELL, path="linalg.svd", tolerance=1e-2,
             call=lambda svd, x: svd(x, full_matrices=False)[1]),
    *entries("linalg_norm", WELL, path="linalg.norm"),
    *entries("linalg_matrix_norm", WELL, path="linalg.matrix_norm", ord=1),
    *entries("linalg_cond", WELL, path="linalg.cond", tolerance=1e-2),
    *entries("linalg_matrix_rank", WELL, path="linalg.matrix_rank", gradient=False),
    *entries("linalg_pinv", WELL, path="linalg.pinv", tolerance=1e-3),
    *entries("linalg_lstsq", WELL, reals(SOLVED), path="linalg.lstsq", tolerance=1e-3,
             call=lambda lstsq, a, b: lstsq(a, b)[0]),
    *entries("linalg_solve_triangular", WELL, reals(SOLVED), path="linalg.solve_triangular", tolerance=1e-3,
             upper=True),
    *entries("cholesky_solve", reals(SOLVED), WELL, tolerance=1e-3,
             call=lambda solve, b, lower: solve(b, lower.tril())),
    *entries("matrix_exp", WELL, tolerance=1e-3),
    *entries("matrix_power", WELL, n=3, tolerance=1e-3),
    # Convolution and patches
    *entries("conv2d", IMAGES, weights(KERNEL), SHIFT, padding=1, images=True),
    # PyTorch sums the gradient of the bias in float32: 6e-5 off in the largest case.
    *entries("conv_transpose2d", IMAGES, weights(KERNEL), SHIFT, stride=2, images=True, tolerance=3e-4),
    *entries("conv1d", SIGNALS, weights(SIGNAL_KERNEL), reals(SIGNAL_CHANNELS), padding=2),
    *entries("conv_transpose1d", SIGNALS, weights(SIGNAL_KERNEL), reals(SIGNAL_CHANNELS), stride=2),
    *entries("conv3d", VOLUMES, weights(VOLUME_KERNEL), reals(VOLUME_CHANNELS), padding=1, tolerance=3e-4),
    *entries("conv_transpose3d", VOLUMES, weights(VOLUME_KERNEL), reals(VOLUME_CHANNELS), stride=2, tolerance=3e-4),
    *entries("unfold", reals(((2, 4, 12, 12), (4, 16, 40, 40), (8, 32, 64, 64))), kernel_size=3, images=True),
    *entries("fold", reals(((2, 36, 100), (4, 144, 1444), (8, 288, 3844))), call=folded),
    # Sampling
    *entries("affine_grid", reals(((2, 2, 3), (4, 2, 3), (16, 2, 3))), call=lambda grid,
             x: grid(x, (len(x), 1, 64, 64), False)),
    *entries("grid_sample", IMAGES, reals(((2, 12, 12, 2), (4, 40, 40, 2), (16, 64, 64, 2)), -1.0, 1.0),
             align_corners=False,
             images=True),
    # Pooling and resizing
    *entries("max_pool2d", DISTINCT_IMAGES, kernel_size=2, images=True),
    *entries("avg_pool2d", IMAGES, kernel_size=2, images=True),
    *entries("max_pool1d", DISTINCT_SIGNALS, kernel_size=2),
    *entries("avg_pool1d", SIGNALS, kernel_size=2),
    *entries("adaptive_avg_pool2d", IMAGES, output_size=4, images=True),
    *entries("adaptive_max_pool2d", DISTINCT_IMAGES, output_size=4, images=True),
    *entries("adaptive_avg_pool1d", SIGNALS, output_size=8),
    *entries("adaptive_max_pool1d", DISTINCT_SIGNALS, output_size=8),
    *entries("max_pool3d", DISTINCT_VOLUMES, kernel_size=2),
    *entries("avg_pool3d", VOLUMES, kernel_size=2),
    *entries("adaptive_avg_pool3d", VOLUMES, output_size=4),
    *entries("adaptive_max_pool3d", DISTINCT_VOLUMES, output_size=4),
    *entries("max_unpool1d", SIGNALS, in_planes(SIGNAL), call=unpooled),
    *entries("max_unpool2d", IMAGES, in_planes(IMAGE), call=unpooled),
    *entries("max_unpool3d", VOLUMES, in_planes(VOLUME), call=unpooled),
    *entries("interpolate", IMAGES, scale_factor=0.5, mode="bilinear", images=True),
    *entries("resize_nearest", IMAGES, path="interpolate", scale_factor=2, images=True),
    *entries("resize_bilinear", IMAGES, path="interpolate", scale_factor=2, mode="bilinear", images=True),
    *entries("pixel_shuffle", IMAGES, upscale_factor=2, images=True),
    *entries("channel_shuffle", IMAGES, groups=2, images=True),
    *entries("lp_pool1d", reals(SIGNAL, 0.1, 1.0), norm_type=2, kernel_size=2),
    *entries("lp_pool2d", reals(IMAGE, 0.1, 1.0), norm_type=2, kernel_size=2, images=True),
    *entries("lp_pool3d", reals(VOLUME, 0.1, 1.0), norm_type=2, kernel_size=2),
    *entries("pixel_unshuffle", IMAGES, downscale_factor=2, images=True),
    # Norms and softmax
    *entries("batch_norm", IMAGES, *RUNNING, SCALE, SHIFT, training=True, images=True),
    *entries("batch_norm_given", IMAGES, *RUNNING, SCALE, SHIFT, path="batch_norm", images=True),
    *entries("instance_norm", IMAGES, *RUNNING, SCALE, SHIFT, images=True),
    *entries("group_norm", IMAGES, SCALE, SHIFT, images=True, call=lambda norm, x, w, b: norm(x, 4, w, b)),
    *entries("local_response_norm", IMAGES, size=5, images=True),
    *entries("layer_norm", X, V, V, call=with_last_size),
    *entries("rms_norm", X, V, call=with_last_size),
    *entries("softmax log_softmax", X, dim=1),
    *entries("glu", X),
    # Attention
    *entries("scaled_dot_product_attention", reals(HEADS), reals(HEADS), reals(HEADS)),
    *entries("multi_head_attention_forward", reals(TOKENS), weights(((96, 32), (384, 128), (1536, 512))),
             reals(((96,), (384,), (1536,))), weights(((32, 32), (128, 128), (512, 512))),
             reals(((32,), (128,), (512,))), call=attend),
    # Recurrent layers
    *entries("rnn_tanh_cell rnn_relu_cell", STATE, STATE, *recurrent_parameters(CELL, 1)),
    *entries("gru_cell", STATE, STATE, *recurrent_parameters(CELL, 3)),
    *entries("lstm_cell", STATE, STATE, STATE, *recurrent_parameters(CELL, 4), call=step_with_memory),
    *entries("rnn_tanh rnn_relu", SEQUENCE, START, *recurrent_parameters(LAYER, 1), call=layer),
    *entries("gru", SEQUENCE, START, *recurrent_parameters(LAYER, 3), call=layer),
    *entries("lstm", SEQUENCE, START, START, *recurrent_parameters(LAYER, 4), call=layer_with_memory),
]
