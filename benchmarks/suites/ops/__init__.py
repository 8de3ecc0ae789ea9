"""Suite `ops`: every operation of autodiff at three sizes, forward and with its gradients, beside PyTorch's.

A new operation is one line in the file of its family, see `table`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case
from benchmarks.differentiation import Run, What, builds
from benchmarks.suites.ops import draws, elementwise, layers, losses, reductions, shaping
from benchmarks.suites.ops.table import SIZES, Entry, find

FAMILIES = (elementwise, reductions, shaping, layers, losses, draws)
TABLE = {entry.name: entry for family in FAMILIES for entry in family.ENTRIES}

# A quick run has one or a few operations of each kind, at the medium size.
QUICK = """
    add exp sigmoid gelu pow where clamp eq logical_and copy
    sum amax var cumsum argmax sort topk
    cat getitem setitem gather index_select
    linear matmul bmm linalg_solve conv2d max_pool2d interpolate batch_norm layer_norm softmax
    scaled_dot_product_attention lstm
    embedding mse_loss cross_entropy
    random_normal dropout
"""

# Where whole channels are dropped, ten calls decide 40,000 times: 0.03 is eight standard deviations.
MOMENTS = {"": 0.0, "moments": 0.03}

# Operations that have no case of their own, by the reason.
EXCLUDED = {
    "part of the gradients of another operation": """
        slice_grad window_grad square_grad reciprocal_grad abs_grad clamp_grad pow_base_grad pow_exponent_grad sqrt_grad
        rsqrt_grad tanh_grad sigmoid_grad erf_grad logsigmoid_grad relu_grad leaky_relu_grad elu_grad gelu_grad
        gelu_tanh_grad silu_grad softplus_grad linear_grad max_pool2d_grad avg_pool2d_grad adaptive_avg_pool2d_grad
        cumprod_grad logcumsumexp_grad softmax_grad log_softmax_grad logsumexp_grad batch_norm_grad diagonal_grad
        conv2d_input_grad conv2d_weight_grad conv3d_input_grad conv3d_weight_grad
        mse_loss_grad cross_entropy_grad soft_cross_entropy_grad soft_cross_entropy_label_grad nll_loss_grad
        index_select_grad tensor_unfold_grad gather_grad scatter_grad layer_norm_grad rms_norm_grad group_norm_grad
        resize_nearest_grad
        resize_bilinear_grad attention_grad lstm_layer_grad gru_layer_grad rnn_tanh_layer_grad rnn_relu_layer_grad
        exp2_grad expm1_grad log1p_grad log2_grad log10_grad tan_grad asin_grad acos_grad atan_grad asinh_grad
        acosh_grad atanh_grad atan2_grad hypot_grad logaddexp_grad logit_grad nan_to_num_grad hardtanh_grad
        threshold_grad mish_grad hardsigmoid_grad hardswish_grad shrink_grad softsign_grad bent_loss_grad
        logistic_loss_grad linalg_cofactors matrix_exp_grad ctc_loss_grad image_sample_input_grad image_sample_grid_grad
        cdist_grad pdist_square multilabel_margin_grad cube_grad pad_grad""",
    "part of scaled_dot_product_attention, lstm, gru, rnn_tanh and rnn_relu": """
        attention lstm_layer gru_layer rnn_tanh_layer rnn_relu_layer""",
    "what compiled programs make of two gradients: the suite train times it": """
        batch_norm_relu_grad group_norm_relu_grad""",
    "all that mv runs": "matvec",
    "part of embedding_bag": "bag_owners",
    "part of cross_entropy": "soft_cross_entropy",
    "part of grid_sample": "image_sample",
    "part of multilabel_margin_loss": "multilabel_margin",
    "only second derivatives run it": "max_pool2d_gather",
    "the entry of polygamma runs it": "trigamma",
    "part of reading and writing at places (take, getitem, index_copy, index_put)": "positions pick put_along",
    "a view that only the library makes; squeeze costs the same": "alias",
    "made of other operations: the suite kernels times it": "fused followed",
    "part of vector_norm and std": "root",
    "part of vector_norm": "square_sum",
    "part of pow": "cube",
    "part of median and nanmedian": "evenly",
    "part of smooth_l1_loss and huber_loss": "bent_loss",
    "part of binary_cross_entropy_with_logits": "logistic_loss",
    "the check of binary_cross_entropy and gaussian_nll_loss, which time it": "in_range",
    "parts of a step of L-BFGS, which has no gradients of its own to be timed with": "lbfgs lbfgs_direction",
    "the step of an optimizer: the suite kernels times these": """
        sgd asgd adam nadam radam adamax adagrad rmsprop adadelta rprop""",
}


def cases() -> Iterator[Case]:
    """Yield each operation at each size, forward and, where it has gradients, forward and backward."""
    quick = set(QUICK.split())
    for entry in TABLE.values():
        passes: tuple[What, ...] = ("forward", "forward+backward") if entry.gradient else ("forward",)
        for size in SIZES:
            for what in passes:
                yield case(entry, size, what, quick=size == "medium" and what == passes[-1] and entry.name in quick)


def case(entry: Entry, size: str, what: What, quick: bool = False) -> Case:
    """Return the case of an operation at a size."""
    names = [f"input {position}" for position in range(len(entry.inputs))]
    made: dict[str, Any] = builds(
        what,
        partial(perform, name=entry.name),
        {name: item.draws[SIZES.index(size)] for name, item in zip(names, entry.inputs)},
        wrt=tuple(name for name, item in zip(names, entry.inputs) if item.gradient),
        images=entry.images,
    )
    if entry.random:
        made = {contender: partial(with_moments, build=build) for contender, build in made.items()}
    tolerance = MOMENTS if entry.random else entry.tolerance
    return Case(f"ops/{entry.name}/{size}/{what}", made, tolerance=tolerance, quick=quick)


def perform(module: Any, *tensors: Any, name: str) -> Any:
    """Call the operation of this name."""
    entry = TABLE[name]
    return entry.call(find(module, entry.path), *tensors)


def with_moments(module: Any, build: Callable[[Any], Run]) -> tuple[Run, Callable[[], dict[str, Any]]]:
    """Build what draws random numbers; the answers are the shape, the dtype and the moments of each result.

    The moments are the mean and the root of the mean square, over at least ten calls and a million numbers.
    """
    run = build(module)

    def answers() -> dict[str, Any]:
        found = {}
        for name, first in run().items():
            calls = max(10, 1_000_000 // math.prod(first.shape))
            draws = (run()[name].detach().numpy().astype(np.float64) for _ in range(calls))
            mean, square = np.mean([(values.mean(), np.square(values).mean()) for values in draws], axis=0)
            found |= {f"shape of {name}": np.array(first.shape), f"dtype of {name}": first.detach().numpy().dtype.num,
                      f"moments of {name}": np.array([mean, math.sqrt(square)])}
        return found

    return run, answers
