"""Special functions under PyTorch's `special` names."""

from autodiff.ops import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    i0,
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
from autodiff.ops import i0 as modified_bessel_i0
from autodiff.ops import igamma as gammainc
from autodiff.ops import igammac as gammaincc
from autodiff.ops import lgamma as gammaln
from autodiff.ops import mvlgamma as multigammaln
from autodiff.ops import sigmoid as expit
from autodiff.ops.bessel import (
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    i0e,
    i1,
    i1e,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
)
from autodiff.ops.bessel import i1 as modified_bessel_i1
from autodiff.ops.error_functions import entr, erfcx, log_ndtr, ndtr, ndtri, xlog1py
from autodiff.ops.special_functions import zeta

__all__ = [
    "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2",
    "expit", "expm1", "gammainc", "gammaincc", "gammaln", "i0", "i0e", "i1", "i1e", "log1p", "log_ndtr", "log_softmax",
    "logit", "logsumexp", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1", "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]
