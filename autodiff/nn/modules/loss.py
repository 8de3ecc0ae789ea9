"""Losses as modules. Formulas, shapes and errors are described at the functions of `nn.functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module
from autodiff.nn.modules.common import require
from autodiff.nn.modules.distance import PairwiseDistance


class _Loss(Module):
    """A loss: ``"mean"``, ``"sum"`` or ``"none"`` says what becomes of the losses of the elements.

    `size_average` and `reduce` are PyTorch's older names for the same choice, and win where they are given.
    """

    reduction: str

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with fixed weights, a buffer."""

    weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class MSELoss(_Loss):
    """`functional.mse_loss`: squared differences.

    Args:
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.MSELoss()(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """`functional.l1_loss`: absolute differences.

    Args:
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.L1Loss()(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """`functional.smooth_l1_loss`: quadratic near 0, then linear with slope 1.

    Args:
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        beta: where the quadratic part ends.

    >>> import autodiff as ad
    >>> ad.nn.SmoothL1Loss()(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(0.7500)
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """`functional.huber_loss`: quadratic near 0, then linear with slope `delta`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        delta: where the quadratic part ends.

    >>> import autodiff as ad
    >>> ad.nn.HuberLoss()(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(0.7500)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """`functional.cross_entropy` of scores that are not normalised, with classes or probabilities as targets.

    Args:
        weight: (C,) weights of the classes.
        size_average, reduce: PyTorch's older names for `reduction`.
        ignore_index: targets of this class do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: share of the target that is spread over all classes.

    >>> import autodiff as ad
    >>> ad.nn.CrossEntropyLoss()(ad.zeros(1, 2), ad.tensor([1]))
    tensor(0.6931)
    """

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(input, target, weight=self.weight, ignore_index=self.ignore_index,
                               reduction=self.reduction,
                               label_smoothing=self.label_smoothing)


class NLLLoss(_WeightedLoss):
    """`functional.nll_loss` of log-probabilities.

    Args:
        weight: (C,) weights of the classes.
        size_average, reduce: PyTorch's older names for `reduction`.
        ignore_index: targets of this class do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.NLLLoss()(ad.tensor([[-1.0, -2.0]]), ad.tensor([1]))
    tensor(2.)
    """

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """`functional.binary_cross_entropy` of probabilities.

    Args:
        weight: of the elements.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.BCELoss()(ad.tensor([0.5]), ad.tensor([1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """`functional.binary_cross_entropy_with_logits`: of scores whose sigmoid is the probability.

    Args:
        weight: of the elements.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: of the positive targets.

    >>> import autodiff as ad
    >>> ad.nn.BCEWithLogitsLoss()(ad.tensor([0.0]), ad.tensor([1.0]))
    tensor(0.6931)
    """

    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean", pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target, weight=self.weight, reduction=self.reduction,
                                                  pos_weight=self.pos_weight)


class KLDivLoss(_Loss):
    """`functional.kl_div`: the divergence of log-probabilities from a target.

    Args:
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"batchmean"`` (the divergence's definition), ``"sum"`` or ``"none"``.
        log_target: the target holds log-probabilities too.

    >>> import autodiff as ad
    >>> ad.nn.KLDivLoss(reduction="sum")(ad.tensor([0.5, 0.5]).log(), ad.tensor([1.0, 0.0]))
    tensor(0.6931)
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(_Loss):
    """`functional.poisson_nll_loss`: targets are counts.

    Args:
        log_input: the input is the logarithm of the rate.
        full: add Stirling's approximation of the constant.
        size_average, reduce: PyTorch's older names for `reduction`.
        eps: keeps the logarithm finite without `log_input`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.PoissonNLLLoss()(ad.tensor([0.0]), ad.tensor([2.0]))
    tensor(1.)
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(input, target, log_input=self.log_input, full=self.full, eps=self.eps,
                                  reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """`functional.gaussian_nll_loss`: inputs are means and variances.

    Args:
        full: add the constant.
        eps: smallest variance.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.GaussianNLLLoss()(ad.tensor([0.0]), ad.tensor([2.0]), ad.tensor([1.0]))
    tensor(2.)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """`functional.soft_margin_loss`: targets are 1 and -1.

    Args:
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.SoftMarginLoss()(ad.tensor([0.0]), ad.tensor([1.0]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """`functional.multilabel_soft_margin_loss`: several classes may be right at once.

    Args:
        weight: (C,) weights of the classes.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.MultiLabelSoftMarginLoss()(ad.zeros(1, 2), ad.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """`functional.multilabel_margin_loss`: each right class should score higher, by 1, than every wrong one.

    Args:
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.MultiLabelMarginLoss()(ad.tensor([[0.0, 0.5, 2.0]]), ad.tensor([[2, 1, -1]]))
    tensor(0.1667)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """`functional.multi_margin_loss`: the right class should score higher than every other one.

    Args:
        p: power of the shortfalls, 1 or 2.
        margin: by which it should.
        weight: (C,) weights of the classes.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.MultiMarginLoss()(ad.tensor([[0.0, 2.0]]), ad.tensor([1]))
    tensor(0.)
    """

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: bool | None = None,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, p=self.p, margin=self.margin, weight=self.weight,
                                   reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """`functional.hinge_embedding_loss` of distances, with targets 1 and -1.

    Args:
        margin: up to which unlike pairs count.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.HingeEmbeddingLoss()(ad.tensor([0.5, 0.5]), ad.tensor([1.0, -1.0]))
    tensor(0.5000)
    """

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """`functional.cosine_embedding_loss` of pairs of vectors, with targets 1 and -1.

    Args:
        margin: similarity up to which unlike pairs do not count.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.CosineEmbeddingLoss()(ad.tensor([[1.0, 0.0]]), ad.tensor([[0.0, 1.0]]), ad.tensor([1.0]))
    tensor(1.)
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """`functional.margin_ranking_loss` of pairs of scores, with targets 1 and -1.

    Args:
        margin: by which the first score should be above (below) the second.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> ad.nn.MarginRankingLoss()(ad.tensor([1.0]), ad.tensor([3.0]), ad.tensor([1.0]))
    tensor(2.)
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """`functional.triplet_margin_loss`: the anchor should be nearer to the positive example than to the negative one.

    Args:
        margin: by which.
        p: of the norm.
        eps: added to the differences.
        swap: use the distance of positive and negative where that is smaller.
        size_average, reduce: PyTorch's older names for `reduction`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> anchor = ad.zeros(1, 2)
    >>> round(ad.nn.TripletMarginLoss()(anchor, anchor, anchor).item(), 3)
    1.0
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        require("TripletMarginLoss", margin > 0, "the margin must be positive", margin)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(anchor, positive, negative, margin=self.margin, p=self.p, eps=self.eps,
                                     swap=self.swap, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """`functional.triplet_margin_with_distance_loss`: `TripletMarginLoss` with any distance.

    Args:
        distance_function: of two tensors; `PairwiseDistance` by default.
        margin: by which the anchor should be nearer to the positive example.
        swap: use the distance of positive and negative where that is smaller.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import autodiff as ad
    >>> anchor = ad.zeros(1, 2)
    >>> ad.nn.TripletMarginWithDistanceLoss()(anchor, anchor, anchor)
    tensor(1.)
    """

    def __init__(
        self, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        require("TripletMarginWithDistanceLoss", margin > 0, "the margin must be positive", margin)
        self.distance_function = distance_function or PairwiseDistance()
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )


class CTCLoss(_Loss):
    """`functional.ctc_loss`: texts that are spread over time in an unknown way.

    Args:
        blank: the class that is no label.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        zero_infinity: take 0 for the loss of a text that its sequence is too short for.

    >>> import autodiff as ad
    >>> log_probs = ad.log_softmax(ad.zeros(2, 1, 2), 2)
    >>> ad.exp(-ad.nn.CTCLoss()(log_probs, ad.tensor([[1]]), ad.tensor([2]), ad.tensor([1])))
    tensor(0.7500)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction,
                          self.zero_infinity)
