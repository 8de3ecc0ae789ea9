"""Every operation, once: shape rule, kernel call, gradient, what backward keeps, cost, samples."""

from types import ModuleType

from autodiff.ops.activation import *
from autodiff.ops.adaptive import *
from autodiff.ops.alignment import *
from autodiff.ops.assembling import *
from autodiff.ops.attention import *
from autodiff.ops.bags import *
from autodiff.ops.batchnorm import *
from autodiff.ops.broadcast import *
from autodiff.ops.choice import *
from autodiff.ops.comparison import *
from autodiff.ops.composites import *
from autodiff.ops.contraction import *
from autodiff.ops.convolution import *
from autodiff.ops.counting import *
from autodiff.ops.covariance import *
from autodiff.ops.determinants import *
from autodiff.ops.diagonals import *
from autodiff.ops.differences import *
from autodiff.ops.distance import *
from autodiff.ops.draws import *
from autodiff.ops.elementwise import *
from autodiff.ops.extremes import *
from autodiff.ops.functions import *
from autodiff.ops.fused import *
from autodiff.ops.grids import *
from autodiff.ops.in_place import *
from autodiff.ops.in_place_indexing import *
from autodiff.ops.indexing import *
from autodiff.ops.joining import *
from autodiff.ops.lookup import *
from autodiff.ops.loss import *
from autodiff.ops.loss_classes import *
from autodiff.ops.loss_elementwise import *
from autodiff.ops.loss_labels import *
from autodiff.ops.matrices import *
from autodiff.ops.matrix_functions import *
from autodiff.ops.matrix_powers import *
from autodiff.ops.noisy import *
from autodiff.ops.normalization import *
from autodiff.ops.pairwise import *
from autodiff.ops.patches import *
from autodiff.ops.picking import *
from autodiff.ops.pooling import *
from autodiff.ops.pooling3d import *
from autodiff.ops.power_pooling import *
from autodiff.ops.probability import *
from autodiff.ops.products import *
from autodiff.ops.quantiles import *
from autodiff.ops.random import *
from autodiff.ops.ranges import *
from autodiff.ops.rearranging import *
from autodiff.ops.recurrent import *
from autodiff.ops.reduce import *
from autodiff.ops.rescaling import *
from autodiff.ops.resize import *
from autodiff.ops.running import *
from autodiff.ops.scan import *
from autodiff.ops.scatter_reductions import *
from autodiff.ops.scattering import *
from autodiff.ops.shaping import *
from autodiff.ops.sorting import *
from autodiff.ops.special_functions import *
from autodiff.ops.statistics import *
from autodiff.ops.structural import *
from autodiff.ops.transposed import *
from autodiff.ops.triangular import *
from autodiff.ops.unpooling import *
from autodiff.ops.update import *
from autodiff.ops.update_adam import *
from autodiff.ops.vector_products import *

# The operations alone: a star import takes along no file, which could hide a module of the same name (`random`).
__all__ = [name for name, value in globals().items() if not name.startswith("_") and not isinstance(value, ModuleType)]
__all__.remove("ModuleType")
