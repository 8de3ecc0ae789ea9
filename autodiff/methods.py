"""The operators and methods of `Tensor` that are operations: one line each, bound to the function of `autodiff.ops`.

A line whose function does not exist fails at import. A function that PyTorch has as a method and that has no line here
fails in `tests/test_surface.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff import ops
from autodiff.program import tensor_class

# What `==` and `!=` compare elements with; with anything else (None, a string) a tensor is simply not equal.
_COMPARABLE = (int, float, np.generic, np.ndarray)


class Methods:
    """Operations as operators and methods; `Tensor` inherits them."""

    # ---- Operators ---------------------------------------------------------------------------------------------------

    __add__ = ops.add
    __iadd__ = ops.add_
    __sub__ = ops.sub
    __isub__ = ops.sub_
    __mul__ = ops.mul
    __imul__ = ops.mul_
    __truediv__ = ops.div
    __itruediv__ = ops.div_
    __floordiv__ = ops.floor_divide
    __ifloordiv__ = ops.floor_divide_
    __mod__ = ops.remainder
    __imod__ = ops.remainder_
    __pow__ = ops.pow
    __ipow__ = ops.pow_
    __matmul__ = ops.matmul
    __neg__ = ops.neg
    __abs__ = ops.abs
    __invert__ = ops.bitwise_not
    __and__ = __rand__ = ops.bitwise_and
    __or__ = __ror__ = ops.bitwise_or
    __xor__ = __rxor__ = ops.bitwise_xor
    __iand__ = ops.bitwise_and_
    __ior__ = ops.bitwise_or_
    __ixor__ = ops.bitwise_xor_
    __lt__ = ops.lt
    __le__ = ops.le
    __gt__ = ops.gt
    __ge__ = ops.ge
    __getitem__ = ops.getitem
    __setitem__ = ops.setitem
    __hash__ = object.__hash__

    def __radd__(self, other: Any) -> Any:
        return ops.add(other, self)

    def __rsub__(self, other: Any) -> Any:
        return ops.sub(other, self)

    def __rmul__(self, other: Any) -> Any:
        return ops.mul(other, self)

    def __rtruediv__(self, other: Any) -> Any:
        return ops.div(other, self)

    def __rfloordiv__(self, other: Any) -> Any:
        return ops.floor_divide(other, self)

    def __rmod__(self, other: Any) -> Any:
        return ops.remainder(other, self)

    def __rpow__(self, other: Any) -> Any:
        return ops.pow(other, self)

    def __rmatmul__(self, other: Any) -> Any:
        return ops.matmul(other, self)

    def __pos__(self) -> Any:
        return self

    def __eq__(self, other: object) -> Any:
        return ops.eq(self, other) if isinstance(other, (tensor_class[0], *_COMPARABLE)) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return ops.ne(self, other) if isinstance(other, (tensor_class[0], *_COMPARABLE)) else NotImplemented

    def where(self, condition: Any, other: Any) -> Any:
        """Return this tensor where `condition` holds and `other` elsewhere; see `autodiff.where`."""
        return ops.where(condition, self, other)

    def polygamma(self, n: int) -> Any:
        """Return the n-th derivative of `digamma`; see `autodiff.polygamma`."""
        return ops.polygamma(n, self)

    # ---- Arithmetic --------------------------------------------------------------------------------------------------

    add = ops.add
    add_ = ops.add_
    sub = ops.sub
    sub_ = ops.sub_
    subtract = ops.subtract
    subtract_ = ops.subtract_
    mul = ops.mul
    mul_ = ops.mul_
    multiply = ops.multiply
    multiply_ = ops.multiply_
    div = ops.div
    div_ = ops.div_
    divide = ops.divide
    divide_ = ops.divide_
    true_divide = ops.true_divide
    neg = ops.neg
    neg_ = ops.neg_
    negative = ops.negative
    negative_ = ops.negative_
    floor_divide = ops.floor_divide
    floor_divide_ = ops.floor_divide_
    remainder = ops.remainder
    remainder_ = ops.remainder_
    fmod = ops.fmod
    fmod_ = ops.fmod_
    pow = ops.pow
    pow_ = ops.pow_
    square = ops.square
    square_ = ops.square_
    reciprocal = ops.reciprocal
    reciprocal_ = ops.reciprocal_
    abs = ops.abs
    abs_ = ops.abs_
    absolute = ops.absolute
    absolute_ = ops.absolute_
    sign = ops.sign
    sign_ = ops.sign_
    sgn = ops.sgn
    copysign = ops.copysign
    heaviside = ops.heaviside
    addcmul = ops.addcmul
    addcmul_ = ops.addcmul_
    addcdiv = ops.addcdiv
    addcdiv_ = ops.addcdiv_
    lerp = ops.lerp
    lerp_ = ops.lerp_
    floor = ops.floor
    floor_ = ops.floor_
    ceil = ops.ceil
    ceil_ = ops.ceil_
    trunc = ops.trunc
    trunc_ = ops.trunc_
    round = ops.round
    round_ = ops.round_
    frac = ops.frac
    frac_ = ops.frac_
    gcd = ops.gcd
    lcm = ops.lcm
    ldexp = ops.ldexp
    float_power = ops.float_power
    positive = ops.positive
    deg2rad = ops.deg2rad
    rad2deg = ops.rad2deg

    # ---- Functions ---------------------------------------------------------------------------------------------------

    sqrt = ops.sqrt
    sqrt_ = ops.sqrt_
    rsqrt = ops.rsqrt
    rsqrt_ = ops.rsqrt_
    exp = ops.exp
    exp_ = ops.exp_
    exp2 = ops.exp2
    exp2_ = ops.exp2_
    expm1 = ops.expm1
    expm1_ = ops.expm1_
    log = ops.log
    log_ = ops.log_
    log2 = ops.log2
    log2_ = ops.log2_
    log10 = ops.log10
    log10_ = ops.log10_
    log1p = ops.log1p
    log1p_ = ops.log1p_
    logaddexp = ops.logaddexp
    logaddexp2 = ops.logaddexp2
    logit = ops.logit
    logit_ = ops.logit_
    xlogy = ops.xlogy
    hypot = ops.hypot
    sin = ops.sin
    sin_ = ops.sin_
    cos = ops.cos
    cos_ = ops.cos_
    tan = ops.tan
    tan_ = ops.tan_
    asin = ops.asin
    asin_ = ops.asin_
    acos = ops.acos
    acos_ = ops.acos_
    atan = ops.atan
    atan_ = ops.atan_
    arcsin = ops.arcsin
    arccos = ops.arccos
    arctan = ops.arctan
    atan2 = ops.atan2
    arctan2 = ops.arctan2
    sinh = ops.sinh
    sinh_ = ops.sinh_
    cosh = ops.cosh
    cosh_ = ops.cosh_
    tanh = ops.tanh
    tanh_ = ops.tanh_
    asinh = ops.asinh
    acosh = ops.acosh
    atanh = ops.atanh
    arcsinh = ops.arcsinh
    arccosh = ops.arccosh
    arctanh = ops.arctanh
    sigmoid = ops.sigmoid
    sigmoid_ = ops.sigmoid_
    erf = ops.erf
    erf_ = ops.erf_
    erfc = ops.erfc
    erfinv = ops.erfinv
    erfinv_ = ops.erfinv_
    lgamma = ops.lgamma
    digamma = ops.digamma
    mvlgamma = ops.mvlgamma
    igamma = ops.igamma
    igammac = ops.igammac
    i0 = ops.i0
    sinc = ops.sinc
    relu = ops.relu
    relu_ = ops.relu_
    prelu = ops.prelu
    hardshrink = ops.hardshrink

    # ---- Comparisons, logic and bits ---------------------------------------------------------------------------------

    eq = ops.eq
    eq_ = ops.eq_
    ne = ops.ne
    ne_ = ops.ne_
    lt = ops.lt
    lt_ = ops.lt_
    le = ops.le
    le_ = ops.le_
    gt = ops.gt
    gt_ = ops.gt_
    ge = ops.ge
    ge_ = ops.ge_
    greater = ops.greater
    greater_ = ops.greater_
    greater_equal = ops.greater_equal
    greater_equal_ = ops.greater_equal_
    less = ops.less
    less_ = ops.less_
    less_equal = ops.less_equal
    less_equal_ = ops.less_equal_
    not_equal = ops.not_equal
    not_equal_ = ops.not_equal_
    equal = ops.equal
    isclose = ops.isclose
    allclose = ops.allclose
    isnan = ops.isnan
    isinf = ops.isinf
    isfinite = ops.isfinite
    isposinf = ops.isposinf
    isneginf = ops.isneginf
    isreal = ops.isreal
    signbit = ops.signbit
    logical_and = ops.logical_and
    logical_and_ = ops.logical_and_
    logical_or = ops.logical_or
    logical_or_ = ops.logical_or_
    logical_xor = ops.logical_xor
    logical_xor_ = ops.logical_xor_
    logical_not = ops.logical_not
    logical_not_ = ops.logical_not_
    bitwise_and = ops.bitwise_and
    bitwise_and_ = ops.bitwise_and_
    bitwise_or = ops.bitwise_or
    bitwise_or_ = ops.bitwise_or_
    bitwise_xor = ops.bitwise_xor
    bitwise_xor_ = ops.bitwise_xor_
    bitwise_not = ops.bitwise_not
    bitwise_not_ = ops.bitwise_not_

    # ---- Choice and values -------------------------------------------------------------------------------------------

    clamp = ops.clamp
    clamp_ = ops.clamp_
    clamp_min = ops.clamp_min
    clamp_min_ = ops.clamp_min_
    clamp_max = ops.clamp_max
    clamp_max_ = ops.clamp_max_
    clip = ops.clip
    clip_ = ops.clip_
    maximum = ops.maximum
    minimum = ops.minimum
    fmax = ops.fmax
    fmin = ops.fmin
    masked_fill = ops.masked_fill
    masked_fill_ = ops.masked_fill_
    nan_to_num = ops.nan_to_num
    nan_to_num_ = ops.nan_to_num_
    copy_ = ops.copy_
    fill_ = ops.fill_
    zero_ = ops.zero_
    bernoulli_ = ops.bernoulli_
    cauchy_ = ops.cauchy_
    exponential_ = ops.exponential_
    geometric_ = ops.geometric_
    log_normal_ = ops.log_normal_
    normal_ = ops.normal_
    random_ = ops.random_
    uniform_ = ops.uniform_

    # ---- Shape -------------------------------------------------------------------------------------------------------

    broadcast_to = ops.broadcast_to
    clone = ops.clone
    expand = ops.expand
    expand_as = ops.expand_as
    flatten = ops.flatten
    movedim = ops.movedim
    moveaxis = ops.moveaxis
    narrow = ops.narrow
    permute = ops.permute
    ravel = ops.ravel
    reshape = ops.reshape
    reshape_as = ops.reshape_as
    select = ops.select
    squeeze = ops.squeeze
    swapaxes = ops.swapaxes
    swapdims = ops.swapdims
    t = ops.t
    transpose = ops.transpose
    unflatten = ops.unflatten
    unsqueeze = ops.unsqueeze
    view_as = ops.view_as
    diag = ops.diag
    diag_embed = ops.diag_embed
    diagflat = ops.diagflat
    diagonal = ops.diagonal
    flip = ops.flip
    fliplr = ops.fliplr
    flipud = ops.flipud
    repeat = ops.repeat
    repeat_interleave = ops.repeat_interleave
    roll = ops.roll
    rot90 = ops.rot90
    tile = ops.tile
    tril = ops.tril
    tril_ = ops.tril_
    triu = ops.triu
    triu_ = ops.triu_
    unfold = ops.tensor_unfold

    # ---- Cutting and rearranging -------------------------------------------------------------------------------------

    chunk = ops.chunk
    split = ops.split
    split_with_sizes = ops.split_with_sizes
    tensor_split = ops.tensor_split
    unbind = ops.unbind
    hsplit = ops.hsplit
    vsplit = ops.vsplit

    # ---- Indexing and order ------------------------------------------------------------------------------------------

    argsort = ops.argsort
    argwhere = ops.argwhere
    gather = ops.gather
    index_add = ops.index_add
    index_add_ = ops.index_add_
    index_copy = ops.index_copy
    index_copy_ = ops.index_copy_
    index_fill = ops.index_fill
    index_fill_ = ops.index_fill_
    index_put = ops.index_put
    index_put_ = ops.index_put_
    index_reduce = ops.index_reduce
    index_reduce_ = ops.index_reduce_
    index_select = ops.index_select
    kthvalue = ops.kthvalue
    nanmedian = ops.nanmedian
    nanquantile = ops.nanquantile
    quantile = ops.quantile
    mode = ops.mode
    masked_scatter = ops.masked_scatter
    masked_scatter_ = ops.masked_scatter_
    masked_select = ops.masked_select
    median = ops.median
    msort = ops.msort
    nonzero = ops.nonzero
    nonzero_static = ops.nonzero_static
    scatter = ops.scatter
    scatter_ = ops.scatter_
    scatter_add = ops.scatter_add
    scatter_add_ = ops.scatter_add_
    scatter_reduce = ops.scatter_reduce
    scatter_reduce_ = ops.scatter_reduce_
    sort = ops.sort
    take = ops.take
    take_along_dim = ops.take_along_dim
    topk = ops.topk
    unique = ops.unique
    unique_consecutive = ops.unique_consecutive
    bincount = ops.bincount
    histc = ops.histc
    histogram = ops.histogram
    diff = ops.diff

    # ---- Reductions --------------------------------------------------------------------------------------------------

    sum = ops.sum
    mean = ops.mean
    all = ops.all
    amax = ops.amax
    amin = ops.amin
    aminmax = ops.aminmax
    any = ops.any
    argmax = ops.argmax
    argmin = ops.argmin
    count_nonzero = ops.count_nonzero
    cumprod = ops.cumprod
    cumsum = ops.cumsum
    cumsum_ = ops.cumsum_
    cummax = ops.cummax
    cummin = ops.cummin
    max = ops.max
    min = ops.min
    nanmean = ops.nanmean
    nansum = ops.nansum
    norm = ops.norm
    prod = ops.prod
    std = ops.std
    var = ops.var
    cov = ops.cov
    corrcoef = ops.corrcoef
    dist = ops.dist
    softmax = ops.softmax
    log_softmax = ops.log_softmax
    logsumexp = ops.logsumexp
    logcumsumexp = ops.logcumsumexp

    # ---- Products ----------------------------------------------------------------------------------------------------

    matmul = ops.matmul
    addmm = ops.addmm
    addmv = ops.addmv
    baddbmm = ops.baddbmm
    bmm = ops.bmm
    dot = ops.dot
    inner = ops.inner
    kron = ops.kron
    mm = ops.mm
    mv = ops.mv
    outer = ops.outer
    cross = ops.cross
    vdot = ops.vdot
    addr = ops.addr
    addbmm = ops.addbmm
    trace = ops.trace
    cholesky = ops.cholesky
    det = ops.det
    inverse = ops.inverse
    logdet = ops.logdet
    slogdet = ops.slogdet
    cholesky_solve = ops.cholesky_solve
    matrix_exp = ops.matrix_exp
    matrix_power = ops.matrix_power
    pinverse = ops.pinverse
