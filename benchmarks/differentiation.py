"""Builds for cases that time a differentiable function: its forward, its backward, or both, in each framework.

A case needs a function and a table of inputs, and is one line:

    def softmax(torch, x):                # for autodiff and PyTorch, which one is passed in
        return torch.softmax(x, -1)

    def softmax_jax(jax, x):
        return jax.nn.softmax(x)

    Case("kernels/softmax/128x10", builds("forward+backward", softmax, {"x": normal(128, 10)}, jax=softmax_jax))

A function takes the module and the inputs in the order of the table, and returns one tensor or a tuple of tensors.
Options are bound with `functools.partial(function, dim=1)`. Inputs are drawn in the worker by one seeded generator, in
order, so every framework gets the same bits. Gradients are taken for all floating inputs, or for those named by `wrt`;
the cotangents are fixed random numbers. What a run returns are its answers: "output" (of a tuple "output 0",
"output 1", ...) and "gradient of <input>".
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Draw = Callable[[np.random.Generator], Array]
Inputs = Mapping[str, Draw]  # name of an input -> how to draw it
Run = Callable[[], dict[str, Any]]
Build = Callable[[Any], Any]  # module -> Run, or a pair of it and the function that returns the answers


# ---- Inputs ----------------------------------------------------------------------------------------------------------


def normal(*shape: int, scale: float = 1.0, mean: float = 0.0, dtype: str = "float32") -> Draw:
    """Return how to draw normal numbers."""
    return partial(_draw_normal, shape=shape, scale=scale, mean=mean, dtype=dtype)


def uniform(*shape: int, low: float = 0.0, high: float = 1.0, dtype: str = "float32") -> Draw:
    """Return how to draw numbers evenly from [low, high)."""
    return partial(_draw_uniform, shape=shape, low=low, high=high, dtype=dtype)


def integers(high: int, *shape: int) -> Draw:
    """Return how to draw integers evenly from [0, high), as int64."""
    return partial(_draw_integers, high=high, shape=shape)


def full(value: float, *shape: int, dtype: str = "float32") -> Draw:
    """Return how to make an array of one value."""
    return partial(_draw_full, value=value, shape=shape, dtype=dtype)


def _draw_normal(rng: np.random.Generator, shape: tuple[int, ...], scale: float, mean: float, dtype: str) -> Array:
    return (rng.standard_normal(shape, np.dtype(dtype)) * scale + mean).astype(dtype, copy=False)


def _draw_uniform(rng: np.random.Generator, shape: tuple[int, ...], low: float, high: float, dtype: str) -> Array:
    return (rng.random(shape, np.dtype(dtype)) * (high - low) + low).astype(dtype, copy=False)


def _draw_integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> Array:
    return rng.integers(high, size=shape)


def _draw_full(rng: np.random.Generator, value: float, shape: tuple[int, ...], dtype: str) -> Array:
    return np.full(shape, value, dtype)


def draw(inputs: Inputs) -> dict[str, Array]:
    """Draw the inputs, the same in every worker."""
    rng = np.random.default_rng(0)
    return {name: one(rng) for name, one in inputs.items()}


def cotangent(shape: Iterable[int], dtype: str) -> Array:
    """Return the fixed cotangent of an output: normal numbers that repeat with a prime period, which is made fast."""
    return np.resize(np.random.default_rng(1).standard_normal(4099), tuple(shape)).astype(dtype)


def floating(arrays: Mapping[str, Array]) -> tuple[str, ...]:
    """Return the names of the floating arrays."""
    return tuple(name for name, array in arrays.items() if array.dtype.kind == "f")


# ---- Answers ---------------------------------------------------------------------------------------------------------


def name_outputs(outputs: Any) -> dict[str, Any]:
    """Return one output or a tuple of them by name."""
    if isinstance(outputs, tuple):
        return {f"output {position}": output for position, output in enumerate(outputs)}
    return {"output": outputs}


def gradient_of(name: str) -> str:
    """Return the key of an input's gradient among the answers."""
    return f"gradient of {name}"


# ---- autodiff and PyTorch --------------------------------------------------------------------------------------------


def tensors_of(
    module: Any, arrays: Mapping[str, Array], wrt: Iterable[str] = (), channels_last: bool | Container[str] = False
) -> dict[str, Any]:
    """Return tensors of a module with memory of their own; those in `wrt` are leaves that require gradients.

    Args:
        module: `autodiff` or `torch`.
        arrays: the values by name.
        wrt: names of the inputs to differentiate by.
        channels_last: the inputs to lay out as channels-last: those of four dimensions, or some by name.
    """
    tensors = {name: module.tensor(array) for name, array in arrays.items()}
    for name, tensor in tensors.items():
        chosen = channels_last and tensor.dim() == 4 if isinstance(channels_last, bool) else name in channels_last
        if chosen:
            tensors[name] = tensor.contiguous(memory_format=module.channels_last)
    for name in wrt:
        tensors[name].requires_grad_()
    return tensors


def cotangents_for(module: Any, outputs: Any) -> Any:
    """Return cotangents, laid out like the outputs, for one output or for those of a tuple that require gradients."""
    if isinstance(outputs, tuple):
        return [cotangents_for(module, output) for output in outputs if output.requires_grad]
    values = module.tensor(cotangent(outputs.shape, str(outputs.dtype).rpartition(".")[2]))
    return module.empty_like(outputs, requires_grad=False).copy_(values)


def forward(
    module: Any,
    function: Callable[..., Any],
    inputs: Inputs,
    wrt: Iterable[str] = (),
    channels_last: bool | Container[str] = False,
) -> Run:
    """Build the forward pass of a function; nothing is recorded for gradients unless `wrt` names inputs."""
    arguments = tensors_of(module, draw(inputs), wrt, channels_last).values()

    def run() -> dict[str, Any]:
        return name_outputs(function(module, *arguments))

    return run


def forward_backward(
    module: Any,
    function: Callable[..., Any],
    inputs: Inputs,
    wrt: Iterable[str] | None = None,
    channels_last: bool | Container[str] = False,
) -> Run:
    """Build forward and backward as users write them: `.grad` set to None, the function, `backward(cotangent)`."""
    arrays = draw(inputs)
    wrt = floating(arrays) if wrt is None else tuple(wrt)
    tensors = tensors_of(module, arrays, wrt, channels_last)
    arguments, leaves = tensors.values(), {gradient_of(name): tensors[name] for name in wrt}
    cotangents: Any = None

    def run() -> dict[str, Any]:
        nonlocal cotangents
        for leaf in leaves.values():
            leaf.grad = None
        outputs = function(module, *arguments)
        if cotangents is None:
            cotangents = cotangents_for(module, outputs)
        if isinstance(outputs, tuple):
            module.autograd.backward([output for output in outputs if output.requires_grad], cotangents)
        else:
            outputs.backward(cotangents)
        return {**name_outputs(outputs), **{key: leaf.grad for key, leaf in leaves.items()}}

    return run


def backward(
    module: Any,
    function: Callable[..., Any],
    inputs: Inputs,
    wrt: Iterable[str] | None = None,
    channels_last: bool | Container[str] = False,
) -> Run:
    """Build the backward pass alone: the graph of one forward pass is kept and swept again in each run."""
    arrays = draw(inputs)
    wrt = floating(arrays) if wrt is None else tuple(wrt)
    tensors = tensors_of(module, arrays, wrt, channels_last)
    leaves, keys = [tensors[name] for name in wrt], [gradient_of(name) for name in wrt]
    outputs = function(module, *tensors.values())
    cotangents = cotangents_for(module, outputs)
    if isinstance(outputs, tuple):
        outputs = [output for output in outputs if output.requires_grad]

    def run() -> dict[str, Any]:
        return dict(zip(keys, module.autograd.grad(outputs, leaves, cotangents, retain_graph=True)))

    return run


# ---- JAX -------------------------------------------------------------------------------------------------------------
# Inputs and cotangents are arguments of the compiled function, so XLA cannot compute anything beforehand; all outputs
# and gradients are returned, so it cannot leave anything out. Outputs must be floating. Where images are channels-last,
# the function gets and returns (N, H, W, C), and an input called "weight" as (H, W, I, O), which XLA runs fastest; the
# answers are turned back.


class _Compiled:
    """What the three builds have in common.

    Attributes:
        arguments: of the function, by position.
        positions: of the arguments to differentiate by.
        keys: of their gradients among the answers.
    """

    def __init__(
        self,
        jax: Any,
        function: Callable[..., Any],
        inputs: Inputs,
        wrt: Iterable[str] | None = None,
        channels_last: bool = False,
    ) -> None:
        arrays = draw(inputs)
        names, wrt = list(arrays), floating(arrays) if wrt is None else tuple(wrt)
        self.jax, self.function, self.channels_last = jax, function, channels_last
        self.arguments = [jax.device_put(self.moved(name, array)) for name, array in arrays.items()]
        self.positions = [names.index(name) for name in wrt]
        self.keys = [gradient_of(name) for name in wrt]

    def moved(self, name: str, array: Array) -> Array:
        """Return an input in the layout that the function gets."""
        if not self.channels_last or array.ndim != 4:
            return array
        return array.transpose((2, 3, 1, 0) if name == "weight" else (0, 2, 3, 1))

    def cotangents(self) -> Any:
        """Return the cotangents of the outputs, the same as in every framework."""

        def one(output: Any) -> Any:
            shape = output.shape
            if self.channels_last and len(shape) == 4:
                shape = (shape[0], shape[3], *shape[1:3])
            return self.jax.device_put(self.moved("output", cotangent(shape, output.dtype)))

        return self.jax.tree.map(one, self.jax.eval_shape(partial(self.function, self.jax), *self.arguments))

    def vjp(self, arguments: list[Any]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        """Return the outputs and the pullback to the arguments to differentiate by."""

        def of_leaves(*leaves: Any) -> Any:
            replaced = dict(zip(self.positions, leaves))
            return self.function(self.jax, *(replaced.get(i, value) for i, value in enumerate(arguments)))

        return self.jax.vjp(of_leaves, *(arguments[position] for position in self.positions))

    def build(self, run: Run) -> Run | tuple[Run, Run]:
        """Return a run, and its answers if they have to be turned back."""
        if not self.channels_last:
            return run

        def back(key: str, value: Any) -> Array:
            array = np.asarray(value)
            if array.ndim != 4:
                return array
            return array.transpose((3, 2, 0, 1) if key == gradient_of("weight") else (0, 3, 1, 2))

        return run, lambda: {key: back(key, value) for key, value in run().items()}


def forward_jax(
    jax: Any, function: Callable[..., Any], inputs: Inputs, channels_last: bool = False
) -> Run | tuple[Run, Run]:
    """Build the compiled forward pass."""
    parts = _Compiled(jax, function, inputs, (), channels_last)
    compiled = jax.jit(lambda *arguments: name_outputs(function(jax, *arguments)))
    return parts.build(partial(compiled, *parts.arguments))


def forward_backward_jax(
    jax: Any,
    function: Callable[..., Any],
    inputs: Inputs,
    wrt: Iterable[str] | None = None,
    channels_last: bool = False,
) -> Run | tuple[Run, Run]:
    """Build forward and backward, compiled together."""
    parts = _Compiled(jax, function, inputs, wrt, channels_last)

    @jax.jit
    def compiled(arguments: list[Any], cotangents: Any) -> dict[str, Any]:
        outputs, pullback = parts.vjp(arguments)
        return {**name_outputs(outputs), **dict(zip(parts.keys, pullback(cotangents)))}

    return parts.build(partial(compiled, parts.arguments, parts.cotangents()))


def backward_jax(
    jax: Any,
    function: Callable[..., Any],
    inputs: Inputs,
    wrt: Iterable[str] | None = None,
    channels_last: bool = False,
) -> Run | tuple[Run, Run]:
    """Build the compiled pullback alone, from what one forward pass has kept."""
    parts = _Compiled(jax, function, inputs, wrt, channels_last)
    pullback = jax.jit(lambda arguments: parts.vjp(arguments)[1])(parts.arguments)
    compiled = jax.jit(lambda pullback, cotangents: dict(zip(parts.keys, pullback(cotangents))))
    return parts.build(partial(compiled, pullback, parts.cotangents()))


# ---- NumPy, by hand --------------------------------------------------------------------------------------------------


def forward_numpy(numpy: Any, function: Callable[..., Any], inputs: Inputs) -> Run:
    """Build the forward pass of a function written for NumPy."""
    arguments = draw(inputs).values()
    return lambda: name_outputs(function(numpy, *arguments))


def forward_backward_numpy(numpy: Any, function: Callable[..., Any], inputs: Inputs) -> Run:
    """Build forward and backward of a function written for NumPy: `function(numpy, *inputs)` returns its output and
    the pullback from the cotangent to a table of gradients by the names of the inputs.
    """
    arguments = draw(inputs).values()
    given: Any = None

    def run() -> dict[str, Any]:
        nonlocal given
        output, pullback = function(numpy, *arguments)
        if given is None:
            given = cotangent(output.shape, output.dtype)
        return {"output": output, **{gradient_of(name): value for name, value in pullback(given).items()}}

    return run


# ---- All contenders of a case ----------------------------------------------------------------------------------------

What = Literal["forward", "backward", "forward+backward"]

_TENSORS = {"forward": forward, "backward": backward, "forward+backward": forward_backward}
_JAX = {"forward": forward_jax, "backward": backward_jax, "forward+backward": forward_backward_jax}
_NUMPY = {"forward": forward_numpy, "forward+backward": forward_backward_numpy}


def builds(
    what: What,
    function: Callable[..., Any],
    inputs: Inputs,
    *,
    wrt: Iterable[str] | None = None,
    jax: Callable[..., Any] | None = None,
    numpy: Callable[..., Any] | None = None,
    images: bool = False,
) -> dict[str, Build]:
    """Return the builds of a case by contender.

    Args:
        what: the passes to time. "forward" records nothing for gradients.
        function: `function(module, *inputs)` for autodiff and PyTorch.
        inputs: name -> how to draw it.
        wrt: names of the inputs to differentiate by; all floating ones by default.
        jax: the function for JAX, which takes no part without.
        numpy: the function for NumPy, likewise; see `forward_backward_numpy` for the form of one with its backward.
        images: PyTorch takes part a second time, with channels-last memory, and JAX's function gets images as
            (N, H, W, C) and "weight" as (H, W, I, O).
    """
    settings: dict[str, Any] = {"inputs": inputs}
    if wrt is not None and what != "forward":
        settings["wrt"] = wrt
    own = partial(_TENSORS[what], function=function, **settings)
    table: dict[str, Build] = {"autodiff": own, "torch": own}
    if images:
        table["torch channels_last"] = partial(_TENSORS[what], function=function, channels_last=True, **settings)
    if jax is not None:
        table["jax"] = partial(_JAX[what], function=jax, channels_last=images, **settings)
    if numpy is not None:
        table["numpy"] = partial(_NUMPY[what], function=numpy, inputs=inputs)
    return table
