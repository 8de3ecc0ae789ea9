"""Calls on which the oracle's neural-network functions are compared with PyTorch."""

from __future__ import annotations

import numpy as np

from .cases import case, integers, normal, positive

# Losses.
for reduction in ("none", "sum", "mean"):
    for name in ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"]:
        case(name, normal(2, 3), normal(2, 3), reduction=reduction)
    labels = np.array([1, 0, -100, 2])
    case("nll_loss", np.log(positive(4, 3)), labels, reduction=reduction)
    case("nll_loss", np.log(positive(4, 3)), labels, positive(3), reduction=reduction)
    case("nll_loss", np.log(positive(2, 3, 2, 2)), integers(0, 3, 2, 2, 2), ignore_index=1, reduction=reduction)
    for smoothing in (0.0, 0.2):
        case("cross_entropy", normal(4, 3), labels, reduction=reduction, label_smoothing=smoothing)
        case("cross_entropy", normal(4, 3), labels, positive(3), reduction=reduction, label_smoothing=smoothing)
        case("cross_entropy", normal(4, 3), positive(4, 3), positive(3), reduction=reduction, label_smoothing=smoothing)
        case("cross_entropy", normal(2, 3, 4), positive(2, 3, 4), reduction=reduction, label_smoothing=smoothing)
        case("cross_entropy", normal(2, 3, 4), integers(0, 3, 2, 4), reduction=reduction, label_smoothing=smoothing)
    case("binary_cross_entropy", positive(2, 3), positive(2, 3), reduction=reduction)
    case("binary_cross_entropy_with_logits", normal(2, 3), positive(2, 3), reduction=reduction)
    case("binary_cross_entropy_with_logits", normal(2, 3), positive(2, 3), positive(3), pos_weight=positive(3))
    case("margin_ranking_loss", normal(4), normal(4), np.array([1.0, -1, -1, 1]), 0.3, reduction=reduction)
    case("cosine_embedding_loss", normal(3, 4), normal(3, 4), np.array([1, -1, -1]), margin=0.1, reduction=reduction)
    case("triplet_margin_loss", normal(3, 4), normal(3, 4), normal(3, 4), reduction=reduction)
    case("hinge_embedding_loss", normal(4), np.array([1, -1, -1, 1]), reduction=reduction)
    case("soft_margin_loss", normal(4), np.array([1.0, -1, -1, 1]), reduction=reduction)
    case("poisson_nll_loss", positive(4), np.array([0.0, 1, 2, 5]), full=True, reduction=reduction)
    case("gaussian_nll_loss", normal(4), normal(4), positive(4), full=True, reduction=reduction)
    case("multilabel_soft_margin_loss", normal(2, 4), integers(0, 2, 2, 4).astype(float), reduction=reduction)
    case("multi_margin_loss", normal(4, 3), np.array([2, 0, 1, 1]), reduction=reduction)
    case("multi_margin_loss", normal(4, 3), np.array([2, 0, 1, 1]), 2, 0.5, positive(3), reduction=reduction)
    case("multilabel_margin_loss", normal(2, 4), np.array([[3, 0, -1, 1], [2, -1, -1, 0]]), reduction=reduction)
for reduction in ("none", "sum", "batchmean"):
    case("kl_div", np.log(positive(2, 3)), np.array([[0.0, 0.4, 0.6], [0.2, 0.3, 0.5]]), reduction=reduction)
    case("kl_div", np.log(positive(2, 3)), np.log(positive(2, 3)), reduction=reduction, log_target=True)
case("nll_loss", np.log(positive(3)), np.array(1))
case("cross_entropy", normal(3), np.array(1))
case("cross_entropy", normal(2, 3), np.array([-100, -100]))
case("smooth_l1_loss", normal(5), normal(5), beta=0.3)
case("smooth_l1_loss", normal(5), normal(5), beta=0.0)
case("huber_loss", normal(5), normal(5), delta=0.3)
case("binary_cross_entropy", np.array([0.0, 1.0, 0.5]), np.array([1.0, 0.0, 1.0]), positive(3))
case("binary_cross_entropy_with_logits", np.array([-500.0, 500.0]), np.array([1.0, 0.0]))
case("poisson_nll_loss", positive(4), positive(4), log_input=False)
case("triplet_margin_loss", normal(3, 4), normal(3, 4), normal(3, 4), margin=0.5, p=1, swap=True)
case("cosine_similarity", normal(2, 3, 4), normal(3, 1), dim=1)
case("cosine_similarity", np.zeros((2, 3)), normal(2, 3), dim=-1)
case("pairwise_distance", normal(3, 4), normal(3, 4), p=1, keepdim=True)

# Convolution.
for rank, size in ((1, (6,)), (2, (5, 6)), (3, (3, 4, 3))):
    name, kernel = f"conv{rank}d", (3, 2, 2)[:rank]
    case(name, normal(2, 4, *size), normal(6, 4, *kernel), normal(6))
    case(name, normal(2, 4, *size), normal(6, 2, *kernel), stride=2, padding=1, groups=2)
    case(name, normal(2, 4, *size), normal(4, 1, *kernel), normal(4), padding=1, dilation=2, groups=4)
    case(name, normal(4, *size), normal(6, 4, *kernel), stride=(1, 2, 1)[:rank], padding=(1, 0, 1)[:rank])
    name = f"conv_transpose{rank}d"
    case(name, normal(2, 4, *size), normal(4, 3, *kernel), normal(3))
    case(name, normal(2, 4, *size), normal(4, 3, *kernel), stride=2, padding=1, output_padding=1, groups=2)
    case(name, normal(4, *size), normal(4, 2, *kernel), normal(2), stride=2, dilation=2, padding=(1, 0, 1)[:rank])
case("conv2d", normal(1, 2, 5, 5), normal(3, 2, 3, 3), padding="valid", stride=2)
case("conv1d", normal(1, 2, 6), normal(3, 2, 3), padding="same", dilation=2)
case("unfold", normal(2, 3, 5, 6), (2, 3))
case("unfold", normal(2, 3, 5, 6), 2, dilation=2, padding=1, stride=(1, 2))
case("unfold", normal(3, 5, 6), 2)

# Pooling.
for rank, shape in ((1, (2, 3, 7)), (2, (2, 3, 6, 7)), (3, (2, 2, 5, 4, 6))):
    case(f"max_pool{rank}d", normal(*shape), 2)
    case(f"max_pool{rank}d", normal(*shape), 3, 2, 1, ceil_mode=True)
    case(f"max_pool{rank}d", normal(*shape[1:]), 2, 1, 1, dilation=2, return_indices=True)
    case(f"max_pool{rank}d", np.round(normal(*shape)), 3, 2, 1, return_indices=True)
    case(f"avg_pool{rank}d", normal(*shape), 2)
    case(f"avg_pool{rank}d", normal(*shape), 3, 2, 1, ceil_mode=True)
    case(f"avg_pool{rank}d", normal(*shape[1:]), 3, 2, 1, ceil_mode=True, count_include_pad=False)
    for size in (1, 3, 9):
        case(f"adaptive_avg_pool{rank}d", normal(*shape), size)
        case(f"adaptive_max_pool{rank}d", normal(*shape), size)
    case(f"adaptive_max_pool{rank}d", normal(*shape), 2, return_indices=True)
case("avg_pool2d", normal(1, 2, 5, 5), (2, 3), (2, 1), (1, 0), divisor_override=5)
case("adaptive_avg_pool2d", normal(2, 3, 6, 7), (None, 2))
case("avg_pool3d", normal(1, 2, 4, 5, 5), (2, 3, 1), (2, 1, 2), (1, 0, 0), divisor_override=5)
case("max_pool2d", np.where(normal(1, 1, 4, 4) > 1, np.nan, normal(1, 1, 4, 4)), 2)

# Resizing.
for mode, size in (("nearest", (7, 3)), ("nearest-exact", (7, 3)), ("bilinear", (7, 3)), ("bicubic", (7, 3))):
    case("interpolate", normal(2, 3, 4, 5), size, mode=mode)
    case("interpolate", normal(2, 3, 4, 5), scale_factor=2, mode=mode)
    case("interpolate", normal(2, 3, 4, 5), scale_factor=(1.7, 0.6), mode=mode)
    if mode.startswith("bi"):
        case("interpolate", normal(2, 3, 4, 5), size, mode=mode, align_corners=True)
        case("interpolate", normal(2, 3, 4, 5), (1, 1), mode=mode, align_corners=True)
        case("interpolate", normal(2, 3, 4, 5), scale_factor=1.7, mode=mode, recompute_scale_factor=True)
        case("interpolate", normal(2, 3, 9, 11), (4, 13), mode=mode, antialias=True)
        case("interpolate", normal(2, 3, 9, 11), (2, 3), mode=mode, align_corners=True, antialias=True)
        case("interpolate", normal(2, 3, 9, 11), scale_factor=(0.3, 1.7), mode=mode, antialias=True)
case("interpolate", normal(2, 3, 5), 8, mode="linear")
case("interpolate", normal(2, 3, 5), 3, mode="area")
case("interpolate", normal(2, 3, 7, 5), (3, 8), mode="area")
case("interpolate", normal(2, 3, 7, 5), scale_factor=(0.4, 2), mode="area")
case("interpolate", normal(2, 3, 3, 4, 5), (2, 3, 2), mode="area")
case("interpolate", normal(2, 3, 5), scale_factor=1.5)
for mode in ("nearest", "nearest-exact", "trilinear"):
    case("interpolate", normal(2, 3, 3, 4, 3), (4, 3, 5), mode=mode)
    case("interpolate", normal(1, 2, 3, 4, 3), scale_factor=2, mode=mode)
    case("interpolate", normal(1, 2, 3, 4, 3), scale_factor=(1.7, 0.6, 1.0), mode=mode)
case("interpolate", normal(1, 2, 3, 4, 3), (4, 1, 5), mode="trilinear", align_corners=True)
case("pixel_shuffle", normal(2, 8, 3, 2), 2)
case("pixel_unshuffle", normal(2, 3, 4, 6), 2)

# Normalisation.
for shape in ((4, 3), (4, 3, 5), (2, 3, 2, 4)):
    statistics = normal(3), positive(3), normal(3), normal(3)
    case("batch_norm", normal(*shape), *statistics)
    case("batch_norm", normal(*shape), None, None, training=True)
    case("batch_norm", normal(*shape), *statistics, training=True, momentum=0.2, eps=1e-3)
    case("batch_norm_running", normal(*shape), normal(3), positive(3), momentum=0.2)
    if len(shape) > 2:
        case("instance_norm", normal(*shape))
        case("instance_norm", normal(*shape), weight=normal(3), bias=normal(3), eps=1e-3)
        case("instance_norm", normal(*shape), *statistics, use_input_stats=False)
    case("group_norm", normal(shape[0], 6, *shape[2:]), 2, normal(6), normal(6))
    case("group_norm", normal(*shape), 1)
    case("layer_norm", normal(*shape), shape[1:], normal(*shape[1:]), normal(*shape[1:]))
    case("layer_norm", normal(*shape), shape[-1:], eps=1e-3)
    case("rms_norm", normal(*shape), shape[-1:], normal(shape[-1]))
    case("rms_norm", normal(*shape), shape[1:], eps=1e-3)
    case("normalize", normal(*shape))
case("normalize", np.zeros((2, 3)), p=1, dim=0)
case("local_response_norm", normal(2, 5, 3), 3)
case("local_response_norm", normal(2, 5, 3, 2), 4, alpha=0.1)

# Attention.
q, k, v = normal(2, 2, 3, 4), normal(2, 2, 5, 4), normal(2, 2, 5, 6)
case("scaled_dot_product_attention", q, k, v)
case("scaled_dot_product_attention", q, k, v, is_causal=True, scale=0.3)
case("scaled_dot_product_attention", q, k, v, attn_mask=normal(3, 5))
case("scaled_dot_product_attention", q, k, v, attn_mask=np.array([[True] * 5, [False] * 5, [True, False] * 2 + [True]]))
case("scaled_dot_product_attention", normal(1, 4, 3, 2), normal(1, 2, 3, 2), normal(1, 2, 3, 2), enable_gqa=True)
projection = (normal(12, 4), normal(12))
output = (normal(4, 4), normal(4))
query, source = normal(3, 2, 4), normal(5, 2, 4)
attention = (4, 2, *projection, None, None, False, 0.0, *output)
case("multi_head_attention_forward", query, source, source, *attention)
case("multi_head_attention_forward", query[:, 0], source[:, 0], source[:, 0], *attention, average_attn_weights=False)
hidden = np.array([[False, False, True, False, True], [False] * 5])
case("multi_head_attention_forward", query, source, source, *attention, key_padding_mask=hidden, attn_mask=normal(3, 5))
case("multi_head_attention_forward", query, source, source, *attention, attn_mask=normal(4, 3, 5))
case(
    "multi_head_attention_forward",
    *(query, source, source, 4, 2, *projection, normal(1, 1, 4), normal(1, 1, 4), True, 0.0, *output),
    attn_mask=np.triu(np.ones((3, 5), bool), 1),
)
case(
    "multi_head_attention_forward",
    *(query, normal(5, 2, 3), normal(5, 2, 6), 4, 2, None, normal(12), None, None, False, 0.0, *output),
    use_separate_proj_weight=True,
    **{f"{name}_proj_weight": normal(4, n) for name, n in (("q", 4), ("k", 3), ("v", 6))},
)

# Recurrent networks: (time 4, batch 2, features 3), hidden size 5.
for name, gates in (("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)):
    cell = (normal(gates * 5, 3), normal(gates * 5, 5), normal(gates * 5), normal(gates * 5))
    for layers, bidirectional, biases, batch_first in (
        (1, False, True, False),
        (2, True, True, True),
        (2, False, False, False),
    ):
        directions, params = 1 + bidirectional, []
        for layer in range(layers):
            for _ in range(directions):
                params += [normal(gates * 5, 5 * directions if layer else 3), normal(gates * 5, 5)]
                params += [normal(gates * 5), normal(gates * 5)] if biases else []
        state = normal(layers * directions, 2, 5)
        start = (state, normal(layers * directions, 2, 5)) if name == "lstm" else state
        sequence = normal(2, 4, 3) if batch_first else normal(4, 2, 3)
        case(name, sequence, start, params, biases, layers, 0.0, False, bidirectional, batch_first)
    if name == "lstm":
        case("lstm_cell", normal(2, 3), (normal(2, 5), normal(2, 5)), *cell)
        case("lstm_cell", normal(2, 3), (normal(2, 5), normal(2, 5)), *cell[:2])
    else:
        case(f"{name}_cell", normal(2, 3), normal(2, 5), *cell)
        case(f"{name}_cell", normal(2, 3), normal(2, 5), *cell[:2])

# Sampling, bags, patches, alignments.
for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        for corners in (False, True):
            case("grid_sample", normal(2, 3, 4, 5), 1.5 * normal(2, 3, 4, 2), mode, padding, corners)
            if mode != "bicubic":
                case("grid_sample", normal(2, 3, 4, 5, 3), normal(2, 3, 4, 2, 3), mode, padding, corners)
for corners in (False, True):
    case("affine_grid", normal(2, 2, 3), (2, 1, 4, 5), corners)
    case("affine_grid", normal(2, 3, 4), (2, 1, 3, 1, 4), corners)
case("channel_shuffle", normal(2, 6, 2, 3), 3)
case("fold", normal(2, 12, 12), (4, 5), 2)
case("fold", normal(2, 8, 12), (5, 8), 2, 2, 1, 2)
case("fold", normal(12, 12), (4, 5), 2)
index, offsets = np.array([1, 4, 0, 1, 3]), np.array([0, 2, 2])
for mode in ("sum", "mean", "max"):
    case("embedding_bag", index, normal(5, 3), offsets, mode=mode)
    case("embedding_bag", index, normal(5, 3), offsets, mode=mode, padding_idx=1)
    case("embedding_bag", np.array([[0, 3], [2, 2]]), normal(5, 3), mode=mode)
case("embedding_bag", index, normal(5, 3), offsets, mode="sum", per_sample_weights=normal(5))
case("embedding_bag", index, normal(5, 3), np.array([0, 2, 5]), mode="sum", include_last_offset=True)
labels = np.array([[1, 2, 2], [3, 1, 0]])
for reduction in ("mean", "sum", "none"):
    case("ctc_loss", np.log(positive(6, 2, 4)), labels, (6, 5), (3, 2), reduction=reduction)
case("ctc_loss", np.log(positive(6, 2, 4)), np.array([1, 2, 2, 3, 1]), (6, 4), (3, 2))
case("ctc_loss", np.log(positive(6, 4)), np.array([1, 2, 2]), (6,), (3,))
case("ctc_loss", np.log(positive(6, 2, 4)), labels - 1, (6, 6), (2, 2), 3)
case("ctc_loss", np.log(positive(6, 2, 4)), labels, (3, 6), (3, 0), reduction="none")
case("ctc_loss", np.log(positive(6, 2, 4)), labels, (3, 6), (3, 2), zero_infinity=True)
case("rrelu", normal(3, 4), 0.1, 0.5)
case("gumbel_softmax", np.array([[0.0, 500.0, 0.0], [900.0, 0.0, 0.0]]), hard=True)
case("lp_pool1d", positive(2, 3, 8), 2, 3)
case("lp_pool2d", positive(2, 3, 6, 6), 3.0, (2, 3), 2)
case("lp_pool2d", normal(2, 3, 5, 5), 2, 2, ceil_mode=True)
case("lp_pool3d", positive(2, 3, 4, 5, 4), 3.0, (2, 3, 1), 2)
for rank, shape in ((1, (2, 3, 4)), (2, (2, 3, 4, 2)), (3, (2, 3, 2, 2, 3))):
    places = np.zeros(shape, np.int64) + 2 * np.arange(np.prod(shape[2:])).reshape(shape[2:])
    case(f"max_unpool{rank}d", normal(*shape), places, 2)
    case(f"max_unpool{rank}d", normal(*shape[1:]), places[0], 3, 2, 0)
    case(f"max_unpool{rank}d", normal(*shape), places, 3, 2, 1, output_size=tuple(2 * n for n in shape[2:]))
