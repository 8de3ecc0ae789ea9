"""What turns a training workload into a case: the same weights, batch, optimizer and answers in every framework.

A workload is written once for PyTorch and autodiff together (`Training`: the module is passed in), once for JAX
(`JaxTraining`) and, where somebody would do so, by hand in NumPy (`NumpyTraining`). Initial weights follow from the
names and shapes in PyTorch's ``state_dict``, so frameworks need to exchange nothing. Noise (dropout's masks, the draws
of a variational autoencoder) is part of the batch: every framework sees the same.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.case import Case

Array = np.ndarray
Shapes = dict[str, tuple[int, ...]]

LEARNING_RATE = {"sgd": 1e-2, "adam": 1e-3, "adamw": 1e-3}
MOMENTUM = 0.9  # of SGD, and Adam's first beta
BETA = 0.999  # Adam's second
EPSILON = 1e-8
DECAY = 1e-2  # AdamW's


class Training(NamedTuple):
    """A workload for PyTorch and autodiff."""

    model: Any  # nn.Module
    loss: Callable[..., Any]  # loss(model, *batch) -> scalar
    batch: tuple[Array, ...]  # images are (N, C, H, W)


class JaxTraining(NamedTuple):
    """A workload for JAX. Four-dimensional weights reach the loss as (H, W, I, O), all others as in PyTorch."""

    shapes: Shapes  # PyTorch's names and shapes, running statistics too
    loss: Callable[..., Any]  # loss(parameters, statistics, *batch) -> (scalar, new statistics); both are dicts by name
    batch: tuple[Array, ...]  # images as the loss wants them: (N, H, W, C)


class NumpyTraining(NamedTuple):
    """A workload in NumPy: forward and backward by hand. All arrays by name are views that stay the same."""

    shapes: Shapes
    backward: Callable[..., float]  # backward(parameters, statistics, gradients, *batch) -> loss; fills the last two
    batch: tuple[Array, ...]


def is_statistic(name: str) -> bool:
    """Tell whether an entry of a ``state_dict`` is a running statistic of batch norm, which no optimizer touches."""
    return name.endswith(("running_mean", "running_var"))


def initial(name: str, shape: tuple[int, ...]) -> Array:
    """Return the initial value of an entry of a ``state_dict``, made from its name and shape alone.

    Biases and running means are 0, weights of norms and running variances 1. All else is normal with variance
    1 / fan-in, for kernels of convolutions 2 / fan-in (He et al. 2015, section 2.2).
    """
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_mean" or (len(shape) == 1 and "bias" in last):
        return np.zeros(shape, np.float32)
    if last == "running_var" or (len(shape) == 1 and "weight" in last):
        return np.ones(shape, np.float32)
    scale = math.sqrt((2 if len(shape) == 4 else 1) / math.prod(shape[1:]))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (scale * rng.standard_normal(shape)).astype(np.float32)


# PyTorch and autodiff


def torch_optimizer(torch: Any, name: str, parameters: Iterable[Any]) -> Any:
    """Return the optimizer in the fastest form that PyTorch has, one kernel over all parameters, with its defaults.

    SGD gets momentum.
    """
    settings = {"lr": LEARNING_RATE[name], "fused": True}
    if name == "sgd":
        return torch.optim.SGD(parameters, momentum=MOMENTUM, **settings)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](parameters, **settings)


def prepared(
    torch: Any, workload: Callable[[Any], Training], channels_last: bool = False
) -> tuple[Any, Any, list[Any]]:
    """Return the model of a workload with its initial weights, its loss and its batch, for PyTorch or autodiff."""
    model, loss, arrays = workload(torch)
    batch = [torch.tensor(array) for array in arrays]
    if channels_last:
        model.to(memory_format=torch.channels_last)
        batch = [x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in batch]
    start = {name: torch.tensor(initial(name, tuple(value.shape))) for name, value in model.state_dict().items()}
    model.load_state_dict(start)
    return model, loss, batch


def train_step(update: Any, model: Any, loss: Any, batch: Iterable[Any]) -> Any:
    """Train once on a batch and return the loss before."""
    update.zero_grad()
    value = loss(model, *batch)
    value.backward()
    update.step()
    return value


def torch_build(
    torch: Any,
    workload: Callable[[Any], Training],
    optimizer: str,
    channels_last: bool = False,
    compiled: bool = False,
) -> tuple[Callable[[], Any], Callable[[], dict[str, Any]]]:
    """Build a step and its answers for PyTorch or autodiff.

    ``compiled`` compiles the whole step where the library can, which is autodiff, or else the model and its loss.
    """
    model, loss, batch = prepared(torch, workload, channels_last)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = compiled and torch.__name__ == "autodiff"
    if compiled and not whole:
        loss = torch.compile(loss)
    update = torch_optimizer(torch, optimizer, model.parameters())

    def step() -> Any:
        return train_step(update, model, loss, batch)

    if whole:
        step = torch.compile(step)

    def answers() -> dict[str, Any]:
        nonlocal update
        model.load_state_dict(start)
        update = torch_optimizer(torch, optimizer, model.parameters())
        found = {"loss": step().item()}
        found["gradients"] = {name: value.grad.numpy().copy() for name, value in model.named_parameters()}
        statistics = {name: value for name, value in model.named_buffers() if is_statistic(name)}
        found["statistics"] = {name: value.numpy().copy() for name, value in statistics.items()}
        step()
        found["loss after two steps"] = step().item()
        return found

    return step, answers


def bits_build(
    torch: Any, workload: Callable[[Any], Training], optimizer: str, steps: int, compiled: bool = False
) -> tuple[Callable[[], None], Callable[[], dict[str, Any]]]:
    """Build training whose answers are the bits after `steps` steps: of each loss, and of all that a step changes."""

    def answers() -> dict[str, Any]:
        model, loss, batch = prepared(torch, workload)
        update = torch_optimizer(torch, optimizer, model.parameters())

        def step() -> Any:
            return train_step(update, model, loss, batch)

        run = torch.compile(step) if compiled else step
        losses = np.array([run().item() for _ in range(steps)])
        found = dict(model.state_dict())
        for name, parameter in model.named_parameters():
            found[f"{name}.grad"] = parameter.grad
            found |= {f"{name}.{key}": value for key, value in update.state[parameter].items()}
        arrays = {name: np.asarray(value.detach().numpy() if hasattr(value, "detach") else value)
                  for name, value in found.items()}
        return {name: np.frombuffer(array.tobytes(), np.int32 if array.nbytes % 4 == 0 else np.uint8)
                for name, array in {"losses": losses, **arrays}.items()}

    return lambda: None, answers


# JAX


def jax_update(jax: Any, name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return ``init(parameters) -> memory`` and ``update(parameters, gradients, memory) -> (parameters, memory)``.

    The formulas are PyTorch's. Memory is (number of the step, first moments, second moments).
    """
    jnp, tree_map, rate = jax.numpy, jax.tree_util.tree_map, LEARNING_RATE[name]

    def init(parameters: Any) -> Any:
        moments = 1 if name == "sgd" else 2
        return jnp.zeros(()), *(tree_map(jnp.zeros_like, parameters) for _ in range(moments))

    def sgd(parameters: Any, gradients: Any, memory: Any) -> Any:
        count, first = memory
        first = tree_map(lambda m, g: MOMENTUM * m + g, first, gradients)
        return tree_map(lambda p, m: p - rate * m, parameters, first), (count + 1, first)

    def adam(parameters: Any, gradients: Any, memory: Any) -> Any:
        count, first, second = memory
        count = count + 1
        first = tree_map(lambda m, g: MOMENTUM * m + (1 - MOMENTUM) * g, first, gradients)
        second = tree_map(lambda v, g: BETA * v + (1 - BETA) * g * g, second, gradients)
        size, root = rate / (1 - MOMENTUM**count), jnp.sqrt(1 - BETA**count)
        keep = 1 - rate * DECAY if name == "adamw" else 1

        def move(p: Any, m: Any, v: Any) -> Any:
            return keep * p - size * m / (jnp.sqrt(v) / root + EPSILON)

        return tree_map(move, parameters, first, second), (count, first, second)

    return init, sgd if name == "sgd" else adam


def jax_build(
    jax: Any, workload: Callable[[Any], JaxTraining], optimizer: str
) -> tuple[Callable[[], Any], Callable[[], dict[str, Any]]]:
    """Build a step, jitted as one with its buffers donated, and its answers for JAX."""
    shapes, loss, arrays = workload(jax)
    batch = jax.device_put(arrays)
    init, update = jax_update(jax, optimizer)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def advance(parameters: Any, statistics: Any, memory: Any, *batch: Any) -> Any:
        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(parameters, statistics, *batch)
        return *update(parameters, gradients, memory), statistics, value

    def start() -> tuple[Any, Any, Any]:
        values = {name: initial(name, shape) for name, shape in shapes.items()}
        values = {name: value.transpose(2, 3, 1, 0) if value.ndim == 4 else value for name, value in values.items()}
        parameters = jax.device_put({name: value for name, value in values.items() if not is_statistic(name)})
        statistics = jax.device_put({name: value for name, value in values.items() if is_statistic(name)})
        return parameters, statistics, init(parameters)

    parameters, statistics, memory = start()

    def step() -> Any:
        nonlocal parameters, statistics, memory
        parameters, memory, statistics, value = advance(parameters, statistics, memory, *batch)
        return value, parameters, statistics, memory

    def answers() -> dict[str, Any]:
        nonlocal parameters, statistics, memory
        parameters, statistics, memory = start()
        found: dict[str, Any] = {"loss": float(step()[0])}
        # The first moment starts from zero: after one step it is the gradient that the timed program itself computed.
        factor = 1 if optimizer == "sgd" else 1 / (1 - MOMENTUM)
        gradients = {name: factor * np.asarray(value) for name, value in memory[1].items()}
        found["gradients"] = {n: g.transpose(3, 2, 0, 1) if g.ndim == 4 else g for n, g in gradients.items()}
        found["statistics"] = {name: np.array(value) for name, value in statistics.items()}
        step()
        found["loss after two steps"] = float(step()[0])
        return found

    return step, answers


# NumPy


def numpy_build(
    numpy: Any, workload: Callable[[Any], NumpyTraining], optimizer: str
) -> tuple[Callable[[], Any], Callable[[], dict[str, Any]]]:
    """Build a step and its answers for NumPy.

    All parameters lie in one vector, all gradients in another, so that an optimizer is a few calls in place.
    """
    shapes, backward, batch = workload(numpy)
    trained = {name: shape for name, shape in shapes.items() if not is_statistic(name)}
    size = sum(math.prod(shape) for shape in trained.values())
    p, g, m, v, scratch = np.zeros((5, size), np.float32)
    parameters, gradients = views(p, trained), views(g, trained)
    statistics = {name: initial(name, shape) for name, shape in shapes.items() if is_statistic(name)}
    rate, count = LEARNING_RATE[optimizer], 0

    def sgd() -> None:
        np.multiply(m, MOMENTUM, out=m)
        np.add(m, g, out=m)
        np.multiply(m, rate, out=scratch)
        np.subtract(p, scratch, out=p)

    def adam() -> None:
        np.multiply(m, MOMENTUM, out=m)
        np.multiply(g, 1 - MOMENTUM, out=scratch)
        np.add(m, scratch, out=m)
        np.multiply(v, BETA, out=v)
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, 1 - BETA, out=scratch)
        np.add(v, scratch, out=v)
        if optimizer == "adamw":
            np.multiply(p, 1 - rate * DECAY, out=p)
        np.sqrt(v, out=scratch)
        np.multiply(scratch, 1 / math.sqrt(1 - BETA**count), out=scratch)
        np.add(scratch, EPSILON, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, rate / (1 - MOMENTUM**count), out=scratch)
        np.subtract(p, scratch, out=p)

    update = sgd if optimizer == "sgd" else adam

    def start() -> None:
        nonlocal count
        count = 0
        m.fill(0)
        v.fill(0)
        for name, value in (parameters | statistics).items():
            value[...] = initial(name, value.shape)

    def step() -> float:
        nonlocal count
        count += 1
        value = backward(parameters, statistics, gradients, *batch)
        update()
        return value

    def answers() -> dict[str, Any]:
        start()
        found: dict[str, Any] = {"loss": step()}
        found["gradients"] = {name: value.copy() for name, value in gradients.items()}
        found["statistics"] = {name: value.copy() for name, value in statistics.items()}
        step()
        found["loss after two steps"] = step()
        return found

    start()
    return step, answers


def views(vector: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return consecutive parts of a vector as arrays of these shapes."""
    found, position = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        found[name] = vector[position : position + size].reshape(shape)
        position += size
    return found


def training_case(
    name: str,
    torch_like: Callable[[Any], Training],
    jax_like: Callable[[Any], JaxTraining],
    optimizer: str,
    *,
    numpy_like: Callable[[Any], NumpyTraining] | None = None,
    images: bool = False,
    tolerance: float | Mapping[str, float] = 1e-4,
    quick: bool = True,
) -> Case:
    """Return the case of a workload: functions of a module, or `functools.partial` of them with the sizes filled in.

    ``optimizer`` is "sgd" (momentum 0.9), "adam" or "adamw"; ``images`` adds PyTorch's channels-last layout.
    """
    ours = partial(torch_build, workload=torch_like, optimizer=optimizer)
    builds: dict[str, Any] = {"autodiff": partial(ours, compiled=True), "autodiff eager": ours, "torch": ours}
    if images:
        builds["torch channels_last"] = partial(ours, channels_last=True)
    builds["torch.compile"] = partial(ours, compiled=True)
    builds["jax"] = partial(jax_build, workload=jax_like, optimizer=optimizer)
    if numpy_like is not None:
        builds["numpy"] = partial(numpy_build, workload=numpy_like, optimizer=optimizer)
    return Case(name, builds, tolerance=tolerance, quick=quick)
