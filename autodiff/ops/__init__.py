"""Every operation, once: shape rule, kernel call, gradient, what backward keeps, cost, samples."""

from autodiff.ops.activation import *  # noqa: F403
from autodiff.ops.batchnorm import *  # noqa: F403
from autodiff.ops.broadcast import *  # noqa: F403
from autodiff.ops.choice import *  # noqa: F403
from autodiff.ops.comparison import *  # noqa: F403
from autodiff.ops.convolution import *  # noqa: F403
from autodiff.ops.diagonals import *  # noqa: F403
from autodiff.ops.elementwise import *  # noqa: F403
from autodiff.ops.extremes import *  # noqa: F403
from autodiff.ops.functions import *  # noqa: F403
from autodiff.ops.in_place import *  # noqa: F403
from autodiff.ops.indexing import *  # noqa: F403
from autodiff.ops.joining import *  # noqa: F403
from autodiff.ops.loss import *  # noqa: F403
from autodiff.ops.loss_classes import *  # noqa: F403
from autodiff.ops.matmul import *  # noqa: F403
from autodiff.ops.normalization import *  # noqa: F403
from autodiff.ops.random import *  # noqa: F403
from autodiff.ops.rearranging import *  # noqa: F403
from autodiff.ops.reduce import *  # noqa: F403
from autodiff.ops.scan import *  # noqa: F403
from autodiff.ops.shaping import *  # noqa: F403
from autodiff.ops.softmax import *  # noqa: F403
from autodiff.ops.structural import *  # noqa: F403
from autodiff.ops.transposed import *  # noqa: F403
from autodiff.ops.update import *  # noqa: F403
