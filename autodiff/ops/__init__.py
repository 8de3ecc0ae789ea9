"""Every operation, once: shape rule, kernel call, gradient, what backward keeps, cost, samples."""

from autodiff.ops.broadcast import *  # noqa: F403
from autodiff.ops.elementwise import *  # noqa: F403
from autodiff.ops.indexing import *  # noqa: F403
from autodiff.ops.joining import *  # noqa: F403
from autodiff.ops.loss import *  # noqa: F403
from autodiff.ops.matmul import *  # noqa: F403
from autodiff.ops.reduce import *  # noqa: F403
from autodiff.ops.shaping import *  # noqa: F403
from autodiff.ops.structural import *  # noqa: F403
