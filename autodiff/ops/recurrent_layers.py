"""One recurrent layer in one direction, over all steps of a batch of sequences, as one operation.

Its input is (..., F): the rows of the first step, then those of the second, and so on; `sizes` says how many sequences
reach each step, which never rises. What the input contributes is one matrix product over all rows; a kernel then goes
through the steps (`autodiff_kernels.recurrent`). The twins go through them one operation after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind
from autodiff.errors import ShapeError
from autodiff.ops.activation import relu, relu_grad_p
from autodiff.ops.broadcast import column_sums, running_sums
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import add, mul, spread, square, sub
from autodiff.ops.functions import sigmoid, tanh
from autodiff.ops.host import from_array
from autodiff.ops.joining import cat, chunk, split, zeros_of
from autodiff.ops.products import linear, matmul, no_bias, no_sums, require_floats
from autodiff.ops.structural import contiguous, narrow, reshape, transpose
from autodiff.primitive import EachPart, Keep, Primitive, Sample, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

State = tuple[Any, ...]

# ---- One step, and the way back through it ---------------------------------------------------------------------------


class Cell(NamedTuple):
    """A kind of recurrent layer.

    Attributes:
        name: of the operation.
        kernel: of `autodiff_kernels.recurrent`; its gradient has ``_grad`` behind it.
        settings: what that kernel takes besides.
        gates: how many times H rows the weights have.
        states: how many states there are, h and perhaps c.
        step: ``step(what the input contributes, state, w_hh, b_hh)`` returns the next state.
        back: ``back(the same, cotangents of the next state)`` returns the cotangents of what the input contributes, of
            what the state contributes through w_hh, and of the state apart from that.
        kept: for each array that the kernel keeps for the way back, beside the outputs: how many times H columns.
        apart: whether the gradient of what the state contributes differs from that of what the input contributes.
    """

    name: str
    kernel: str
    settings: tuple[int, ...]
    gates: int
    states: int
    step: Callable[[Any, State, Any, Any], State]
    back: Callable[[Any, State, Any, Any, State], tuple[Any, Any, State]]
    kept: tuple[int, ...]
    apart: bool = False


def _lstm_gates(from_input: Any, h: Any, w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
    i, f, g, o = chunk(add(from_input, linear(h, w_hh, b_hh)), 4, -1)
    return sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)


def lstm_step(from_input: Any, state: State, w_hh: Any, b_hh: Any) -> State:
    """Return the next h and c."""
    i, f, g, o = _lstm_gates(from_input, state[0], w_hh, b_hh)
    c = add(mul(f, state[1]), mul(i, g))
    return mul(o, tanh(c)), c


def _slope(y: Any) -> Any:
    """Return the derivative of the sigmoid where its value is `y`."""
    return mul(y, sub(1, y))


def _lstm_back(from_input: Any, state: State, w_hh: Any, b_hh: Any, cotangents: State) -> tuple[Any, Any, State]:
    i, f, g, o = _lstm_gates(from_input, state[0], w_hh, b_hh)
    t = tanh(add(mul(f, state[1]), mul(i, g)))
    d_h, d_c = cotangents
    d_c = add(d_c, mul(mul(d_h, o), sub(1, square(t))))
    d_gates = cat([mul(mul(d_c, g), _slope(i)), mul(mul(d_c, state[1]), _slope(f)),
                   mul(mul(d_c, i), sub(1, square(g))), mul(mul(d_h, t), _slope(o))], -1)
    return d_gates, d_gates, (None, mul(d_c, f))


def _gru_gates(from_input: Any, h: Any, w_hh: Any, b_hh: Any) -> tuple[Any, ...]:
    r_input, z_input, n_input = chunk(from_input, 3, -1)
    r_hidden, z_hidden, n_hidden = chunk(linear(h, w_hh, b_hh), 3, -1)
    r, z = sigmoid(add(r_input, r_hidden)), sigmoid(add(z_input, z_hidden))
    return r, z, tanh(add(n_input, mul(r, n_hidden))), n_hidden


def gru_step(from_input: Any, state: State, w_hh: Any, b_hh: Any) -> State:
    """Return the next h: (1 - z) n + z h, with one product."""
    _, z, n, _ = _gru_gates(from_input, state[0], w_hh, b_hh)
    return (add(n, mul(z, sub(state[0], n))),)


def _gru_back(from_input: Any, state: State, w_hh: Any, b_hh: Any, cotangents: State) -> tuple[Any, Any, State]:
    r, z, n, n_hidden = _gru_gates(from_input, state[0], w_hh, b_hh)
    (d_h,) = cotangents
    d_n = mul(mul(d_h, sub(1, z)), sub(1, square(n)))
    d_z = mul(mul(d_h, sub(state[0], n)), _slope(z))
    d_r = mul(mul(d_n, n_hidden), _slope(r))
    return cat([d_r, d_z, d_n], -1), cat([d_r, d_z, mul(d_n, r)], -1), (mul(d_h, z),)


def tanh_step(from_input: Any, state: State, w_hh: Any, b_hh: Any) -> State:
    """Return the next h of Elman's network."""
    return (tanh(add(from_input, linear(state[0], w_hh, b_hh))),)


def _tanh_back(from_input: Any, state: State, w_hh: Any, b_hh: Any, cotangents: State) -> tuple[Any, Any, State]:
    (h,) = tanh_step(from_input, state, w_hh, b_hh)
    d = mul(cotangents[0], sub(1, square(h)))
    return d, d, (None,)


def relu_step(from_input: Any, state: State, w_hh: Any, b_hh: Any) -> State:
    """Return the next h of Elman's network with max(x, 0) for tanh."""
    return (relu(add(from_input, linear(state[0], w_hh, b_hh))),)


def _relu_back(from_input: Any, state: State, w_hh: Any, b_hh: Any, cotangents: State) -> tuple[Any, Any, State]:
    (h,) = relu_step(from_input, state, w_hh, b_hh)
    d = bind(relu_grad_p, cotangents[0], h)
    return d, d, (None,)


# ---- The twins: step by step -----------------------------------------------------------------------------------------


def _turns(cell: Cell, inputs: Sequence[Any], back: bool, sizes: tuple[int, ...]
           ) -> Iterator[tuple[int, Any, State, State]]:
    """Go through the steps; yield each with what the input contributes, and the states before and after it."""
    x, w_ih, w_hh, state, (b_ih, b_hh) = _inputs(inputs)
    frames = split(linear(reshape(x, -1, x.spec.shape[-1]), w_ih, _given(b_ih)), sizes, 0)
    for step in reversed(range(len(sizes))) if back else range(len(sizes)):
        running = tuple([narrow(s, 0, 0, sizes[step]) for s in state])
        following = cell.step(frames[step], running, w_hh, _given(b_hh))
        yield step, frames[step], running, following
        state = _with_rows(following, state)


def _with_rows(front: State, whole: State) -> State:
    """Return `whole` with its first rows replaced by those of `front`."""
    rows, count = front[0].spec.shape[0], whole[0].spec.shape[0]
    if rows == count:
        return front
    return tuple([cat([x, narrow(y, 0, rows, count - rows)], 0) for x, y in zip(front, whole, strict=True)])


def _given(bias: Any) -> Any:
    return bias if bias.spec.size else None


def _twin(cell: Cell, inputs: Sequence[Any], back: bool, sizes: tuple[int, ...]) -> tuple[Any, ...]:
    x, _, w_hh, last, _ = _inputs(inputs)
    outputs: list[Any] = [None] * len(sizes)
    for step, _, _, state in _turns(cell, inputs, back, sizes):
        outputs[step], last = state[0], _with_rows(state, last)
    return reshape(cat(outputs, 0), *x.spec.shape[:-1], w_hh.spec.shape[1]), *last


def _grad_twin(cell: Cell, inputs: Sequence[Any], back: bool, sizes: tuple[int, ...], wanted: tuple[bool, ...]
               ) -> tuple[Any, ...]:
    (g_out, *g_states), own, _ = _grad_inputs(cell, inputs)
    x, w_ih, w_hh, _, (_, b_hh) = _inputs(own)
    cotangents = split(reshape(g_out, -1, w_hh.spec.shape[1]), sizes, 0)
    d_state: State = tuple(g_states)
    d_input: list[Any] = [None] * len(sizes)
    d_hidden, before = list(d_input), list(d_input)
    for step, frame, state, _ in reversed(list(_turns(cell, own, back, sizes))):
        d_h, *others = [narrow(d, 0, 0, sizes[step]) for d in d_state]
        before[step] = state[0]
        d_input[step], d_hidden[step], direct = cell.back(
            frame, state, w_hh, _given(b_hh), (add(d_h, cotangents[step]), *others))
        through = matmul(d_hidden[step], w_hh)
        d_state = _with_rows((through if direct[0] is None else add(direct[0], through), *direct[1:]), d_state)
    d_x, d_h = cat(d_input, 0), cat(d_hidden, 0)
    biases = (total(d_x, 0), total(d_h, 0)) if b_hh.spec.size else (b_hh, b_hh)
    made = [reshape(matmul(d_x, w_ih), x.spec.shape), matmul(transpose(d_x, 0, 1), reshape(x, -1, x.spec.shape[-1])),
            matmul(transpose(d_h, 0, 1), cat(before, 0)), *d_state, *biases]
    return tuple([gradient for gradient, needed in zip(made, wanted, strict=True) if needed])


# ---- The operations --------------------------------------------------------------------------------------------------


def _inputs(inputs: Sequence[Any]) -> tuple[Any, Any, Any, State, tuple[Any, Any]]:
    """Return x, w_ih, w_hh, the first states, and b_ih and b_hh, which are empty where there are no biases."""
    x, w_ih, w_hh, *start, b_ih, b_hh = inputs
    return x, w_ih, w_hh, tuple(start), (b_ih, b_hh)


def _grad_inputs(cell: Cell, inputs: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return the cotangents, the inputs of the layer, and what it has kept: its output and more."""
    first = 1 + cell.states
    last = first + 5 + cell.states
    return inputs[:first], inputs[first:last], inputs[last:]


@lru_cache(maxsize=256)
def _sizes_array(sizes: tuple[int, ...]) -> Array:
    return np.array(sizes, np.int64)


def _infer(cell: Cell, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
    require_floats(cell.name, *inputs)
    x, w_ih, w_hh, start, biases = _inputs(inputs)
    hidden = w_hh.shape[-1]
    wide = cell.gates * hidden
    wants = [(w_ih, (wide, x.shape[-1])), (w_hh, (wide, hidden)), *[(b, (wide,)) for b in biases if b.size]]
    for spec, want in wants:
        if spec.shape != want:
            raise ShapeError(cell.name, "a weight has the wrong shape", expected=str(want), got=str(spec.shape))
    lead = x.shape[:-1]
    return (Spec.of((*lead, hidden), x.dtype), *[Spec.of(s.shape, x.dtype) for s in start],
            *[Spec.of((math.prod(lead), times * hidden), x.dtype) for times in cell.kept])


def _scratch_sizes(products: Sequence[tuple[int, ...]], panels: tuple[int, ...], dtype: Any) -> tuple[EachPart, Spec]:
    """Return the specs of the scratch for matrix products (m, n, k, a_row, b_column) and for the packed weights."""
    size = max(kernels.matmul.matmul_scratch(*product, dtype.itemsize, 1) for product in products)
    return EachPart(Spec.of((size,), dtype)), Spec.of((kernels.recurrent.panels_size(*panels, dtype.itemsize),), dtype)


def _scratch(cell: Cell, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> tuple[Spec | EachPart, ...]:
    features, (wide, hidden) = inputs[0].shape[-1], inputs[2].shape
    rows = outputs[0].size // hidden
    return _scratch_sizes([(rows, wide, features, features, features)], (cell.gates, hidden, hidden), inputs[0].dtype)


def _prepare(cell: Cell, inputs: Sequence[Spec], outputs: Sequence[Spec], back: bool, sizes: tuple[int, ...]
             ) -> Callable[[Sequence[Array], Sequence[Array]], None]:
    features, (wide, hidden) = inputs[0].shape[-1], inputs[2].shape
    rows, states = sum(sizes), cell.states
    none = no_bias(inputs[0].dtype)
    unsummed = no_sums(inputs[0].dtype)
    product = (none, none, 0, 1, 1, rows, wide, features, 0, 0, features, 1, 0, 0, 1, features)
    packing = (cell.gates, hidden, hidden, hidden * hidden, 1, hidden)
    steps, kernel = _sizes_array(sizes), getattr(kernels.recurrent, cell.kernel)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        x, w_ih, w_hh, start, (b_ih, b_hh) = _inputs(ins)
        *last, scratch, panels = outs[1:]
        out = outs[0].reshape(rows, hidden)
        gates = last[states] if cell.kept else out
        kernels.matmul.matmul(gates.ravel(), scratch, *unsummed, x.ravel(), w_ih.ravel(), b_ih, *product, 0, 1)
        kernels.recurrent.pack_panels(panels, w_hh.ravel(), *packing, 0, 1)
        kernel(out, *last, panels, *start, b_hh, steps, *cell.settings, int(back), 0, 1)

    return run


def _cost(cell: Cell, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> Cost:
    features, (wide, hidden) = inputs[0].shape[-1], inputs[2].shape
    rows = outputs[0].size // hidden
    return Cost(rows * (2 * wide * (features + hidden) + 12 * wide), moved(*inputs, *outputs))


def _vjp(cell: Cell, record: Any, *cotangents: Any) -> tuple[Any, ...]:
    mask, states = record.mask, cell.states
    given = [zeros_of(spec) if g is None else g
             for g, spec in zip(cotangents[: 1 + states], record.outputs, strict=False)]
    inputs = map(record.input, range(len(mask)))
    kept = [record.output(i) for i in (0, *range(1 + states, len(record.outputs)))]
    found = iter(bind(gradients[cell.name], *map(contiguous, given), *inputs, *kept, **record.params, wanted=mask))
    return tuple([next(found) if needed else None for needed in mask])


def _grad_infer(cell: Cell, inputs: Sequence[Spec], wanted: tuple[bool, ...]) -> tuple[Spec, ...]:
    _, own, _ = _grad_inputs(cell, inputs)
    return tuple([Spec.of(spec.shape, spec.dtype) for spec, needed in zip(own, wanted, strict=True) if needed])


def _grad_products(cell: Cell, inputs: Sequence[Spec]) -> list[tuple[int, ...]]:
    """Return m, n, k, a_row, a_column, b_row, b_column of the gradients of x, w_ih and w_hh."""
    x, _, w_hh, _, _ = _inputs(_grad_inputs(cell, inputs)[1])
    features, (wide, hidden) = x.shape[-1], w_hh.shape
    rows = math.prod(x.shape[:-1])
    return [(rows, features, wide, wide, 1, features, 1), (wide, features, rows, 1, wide, features, 1),
            (wide, hidden, rows, 1, wide, hidden, 1)]


def _grad_scratch(cell: Cell, inputs: Sequence[Spec]) -> tuple[Spec | EachPart, ...]:
    products = [(m, n, k, a_row, b_column) for m, n, k, a_row, _, _, b_column in _grad_products(cell, inputs)]
    wide, hidden, rows = products[2][:3]
    dtype = inputs[0].dtype
    gates, nothing = Spec.of((rows, wide), dtype), Spec.of((0, wide), dtype)
    states = [Spec.of(spec.shape, dtype) for spec in inputs[1 : 1 + cell.states]]
    return (*states, gates, gates if cell.apart else nothing, Spec.of((rows, hidden), dtype), running_sums(gates),
            *_scratch_sizes(products, (1, wide, hidden), dtype))


def _grad_prepare(cell: Cell, inputs: Sequence[Spec], outputs: Sequence[Spec], back: bool, sizes: tuple[int, ...],
                  wanted: tuple[bool, ...]) -> Callable[[Sequence[Array], Sequence[Array]], None]:
    none, unsummed = no_bias(inputs[0].dtype), no_sums(inputs[0].dtype)
    products = [(none, none, none, 0, 1, 1, m, n, k, 0, 0, a_row, a_column, 0, 0, b_row, b_column)
                for m, n, k, a_row, a_column, b_row, b_column in _grad_products(cell, inputs)]
    wide, hidden, rows = products[2][6:9]
    steps, kernel = _sizes_array(sizes), getattr(kernels.recurrent, cell.kernel + "_grad")
    add = column_sums(inputs[0].dtype)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        rest = iter(outs)
        d_x, d_ih, d_hh, *d_start, d_b_ih, d_b_hh = [next(rest) if needed else None for needed in wanted]
        *d_states, d_gates, d_hidden, previous, sums, scratch, panels = rest
        d_states = [own if wish is None else wish for own, wish in zip(d_states, d_start, strict=True)]
        made = [d_gates, d_hidden] if cell.apart else [d_gates]
        (g_out, *g_states), own, (out, *kept) = _grad_inputs(cell, ins)
        x, w_ih, w_hh, start, _ = _inputs(own)
        kernels.recurrent.pack_panels(panels, w_hh.ravel(), 1, wide, hidden, 0, hidden, 1, 0, 1)
        kernel(*d_states, *made, previous, panels, g_out.reshape(rows, hidden), *g_states, *kept,
               out.reshape(rows, hidden), *start, steps, *cell.settings, int(back), 0, 1)
        factors = ((d_gates, w_ih), (d_gates, x), (made[-1], previous))
        for target, (a, b), product in zip((d_x, d_ih, d_hh), factors, products, strict=True):
            if target is not None:
                kernels.matmul.matmul(target.ravel(), scratch, *unsummed, a.ravel(), b.ravel(), *product, 0, 1)
        for target, source in ((d_b_ih, d_gates), (d_b_hh, made[-1])):
            if target is not None and target.size:
                add(target, sums, source, 1, rows, wide, 1, 0, 1)

    return run


def _grad_cost(cell: Cell, inputs: Sequence[Spec], outputs: Sequence[Spec], wanted: tuple[bool, ...]) -> Cost:
    products = _grad_products(cell, inputs)
    flops = sum(2 * m * n * k for (m, n, k, *_), needed in zip(products, wanted, strict=False) if needed)
    wide, hidden = products[2][:2]
    return Cost(flops + inputs[0].size * (2 * wide + 12 * (wide // hidden)), moved(*inputs, *outputs))


def _layer_samples(cell: Cell) -> Callable[[], list[Sample]]:
    def sample(back: bool, sizes: tuple[int, ...], biases: bool, dtype: Any = np.float32) -> Sample:
        def numbers(low: float, *shape: int) -> Array:
            return spread(low, 1, *shape, dtype=dtype)

        start = [numbers(-1, sizes[0], 4), numbers(-2, sizes[0], 4)][: cell.states]
        wide = cell.gates * 4
        own = (numbers(-1, wide), numbers(-0.5, wide)) if biases else (no_bias(np.dtype(dtype)),) * 2
        return Sample(numbers(-2, sum(sizes), 3), numbers(-1, wide, 3), numbers(-1.2, wide, 4), *start, *own,
                      back=back, sizes=sizes)

    return lambda: [sample(False, (3, 3), True), sample(True, (3, 2, 1), True), sample(False, (3, 2), False),
                    sample(True, (1, 1), True, np.float64)]


def _grad_samples(cell: Cell) -> Callable[[], list[Sample]]:
    """What the kernel has kept takes part: its derivative is that of the inputs, so it is not checked here."""

    def made() -> list[Sample]:
        samples = []
        for sample in _layer_samples(cell)():
            inputs = [from_array(x) for x in sample.arguments]
            results = [x.array for x in bind(layers[cell.name], *inputs, **sample.keywords)]
            wanted = tuple([x.spec.size > 0 for x in inputs])
            cotangents = [spread(-1, 1, *x.shape, dtype=x.dtype) for x in results[: 1 + cell.states]]
            kept = (results[0], *results[1 + cell.states :])
            samples.append(Sample(*cotangents, *sample.arguments, *kept, gradient=False,
                                  wanted=wanted, **sample.keywords))
        return samples

    return made


def _define(cell: Cell) -> tuple[Primitive, Primitive]:
    kept = range(1 + cell.states, 1 + cell.states + len(cell.kept))
    layer = define(
        cell.name,
        infer=lambda *inputs, back, sizes: _infer(cell, inputs),
        run=lambda outs, ins: None,
        prepare=lambda inputs, outputs, back, sizes: _prepare(cell, inputs, outputs, back, sizes),
        scratch=lambda inputs, outputs, back, sizes: _scratch(cell, inputs, outputs),
        cost=lambda inputs, outputs, back, sizes: _cost(cell, inputs, outputs),
        vjp=lambda record, *g: _vjp(cell, record, *g),
        saves=Keep(inputs=tuple(range(5 + cell.states)), outputs=(0, *kept)),
        twin=lambda *inputs, back, sizes: _twin(cell, inputs, back, sizes),
        samples=_layer_samples(cell),
        errors=no_errors,
        call=lambda *inputs, **params: bind(layer, *inputs, **params)[: 1 + cell.states],
    )
    gradient = define(
        cell.name + "_grad",
        infer=lambda *inputs, back, sizes, wanted: _grad_infer(cell, inputs, wanted),
        run=lambda outs, ins: None,
        prepare=lambda inputs, outputs, back, sizes, wanted: _grad_prepare(cell, inputs, outputs, back, sizes, wanted),
        scratch=lambda inputs, outputs, back, sizes, wanted: _grad_scratch(cell, inputs),
        cost=lambda inputs, outputs, back, sizes, wanted: _grad_cost(cell, inputs, outputs, wanted),
        vjp=None,
        twin=lambda *inputs, back, sizes, wanted: _grad_twin(cell, inputs, back, sizes, wanted),
        samples=_grad_samples(cell),
        errors=no_errors,
    )
    return layer, gradient


LSTM = Cell("lstm_layer", "lstm", (), 4, 2, lstm_step, _lstm_back, (4, 1))
GRU = Cell("gru_layer", "gru", (), 3, 1, gru_step, _gru_back, (3, 1), apart=True)
RNN_TANH = Cell("rnn_tanh_layer", "rnn", (0,), 1, 1, tanh_step, _tanh_back, ())
RNN_RELU = Cell("rnn_relu_layer", "rnn", (1,), 1, 1, relu_step, _relu_back, ())

layers: dict[str, Primitive] = {}
gradients: dict[str, Primitive] = {}
for _cell in (LSTM, GRU, RNN_TANH, RNN_RELU):
    layers[_cell.name], gradients[_cell.name] = _define(_cell)


def run_layer(cell: Cell, x: Any, w_ih: Any, w_hh: Any, start: State, biases: Sequence[Any], back: bool,
              sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """Return the outputs (..., H) of all steps of x (..., F), and the last states (N, H); `biases` are two or none."""
    biases = biases or (from_array(no_bias(x.spec.dtype)),) * 2
    inputs = [contiguous(t) for t in (x, w_ih, w_hh, *start, *biases)]
    return bind(layers[cell.name], *inputs, back=back, sizes=sizes)[: 1 + cell.states]  # type: ignore[no-any-return]
