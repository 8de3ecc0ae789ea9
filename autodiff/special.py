"""Special functions under PyTorch's `special` names."""

from autodiff.ops import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    polygamma,
    round,
    sinc,
    softmax,
    xlogy,
)
from autodiff.ops import digamma as psi
from autodiff.ops import lgamma as gammaln
from autodiff.ops import sigmoid as expit
from autodiff.ops.special_functions import entr, ndtr

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammaln", "log1p", "log_softmax", "logit",
    "logsumexp", "ndtr", "polygamma", "psi", "round", "sinc", "softmax", "xlogy",
]
