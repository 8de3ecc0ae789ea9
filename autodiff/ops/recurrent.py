"""Recurrent networks: cells, and layers that run them over sequences.

A cell is composed of small operations; a layer runs all steps in one operation (`recurrent_layers`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import ShapeError
from autodiff.ops.elementwise import spread
from autodiff.ops.joining import cat, stack, unbind
from autodiff.ops.products import linear
from autodiff.ops.random import dropout as drop
from autodiff.ops.recurrent_layers import (
    GRU,
    LSTM,
    RNN_RELU,
    RNN_TANH,
    Cell,
    State,
    gru_step,
    lstm_step,
    relu_step,
    run_layer,
    tanh_step,
)
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import select, transpose
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell"]

# ---- Cells -----------------------------------------------------------------------------------------------------------


def _cell_samples(gates: int, states: int) -> Callable[[], list[Sample]]:
    def samples() -> list[Sample]:
        weights = [spread(-1, 1, gates * 4, *more) for more in ((3,), (4,), (), ())]
        start: list[Any] = [spread(-1, 1, 2, 4), spread(-2, 1, 2, 4)][:states]
        wide = [x.astype(np.float64) for x in (*start, *weights)]
        return [Sample(spread(-1, 2, 2, 3), _given(start), *weights),
                Sample(spread(-1, 2, 2, 3), _given(start), *weights[:2]),
                Sample(spread(-1, 2, 3), _given([x[0] for x in start]), *weights),
                Sample(spread(-1, 2, 2, 3, dtype=np.float64), _given(wide[:states]), *wide[states:])]

    return samples


def _given(states: list[Any]) -> Any:
    """Return states as a caller gives them: one by itself, two as a tuple."""
    return tuple(states) if len(states) > 1 else states[0]


def _cell_errors(gates: int, states: int) -> Callable[[], list[ErrorSample]]:
    def errors() -> list[ErrorSample]:
        x, h = np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)
        weights = (np.ones((gates * 4, 3), np.float32), np.ones((gates * 4, 4), np.float32))
        start, short = _given([h] * states), _given([h, h[:1]][-states:])
        return [ErrorSample(Sample(x, short, *weights), ShapeError, r"the state.*expected \(2, 4\); got \(1, 4\)"),
                ErrorSample(Sample(x[:, :2], start, *weights), ShapeError, r"last size of the input.*\(\.\.\., 3\)"),
                ErrorSample(Sample(x[None], start, *weights), ShapeError, r"input.*\(features,\) or \(batch, ")]

    return errors


def _cell(operation: str, step: Callable[..., State], input: Any, state: State, w_ih: Any, w_hh: Any, b_ih: Any,
          b_hh: Any) -> State:
    shape = input.spec.shape
    if len(shape) not in (1, 2):
        raise ShapeError(operation, "the input has the wrong number of dimensions",
                         expected="(features,) or (batch, features)", got=str(shape))
    want = (*shape[:-1], w_hh.spec.shape[-1])
    for x in state:
        if x.spec.shape != want:
            raise ShapeError(operation, "the state has the wrong shape", expected=str(want), got=str(x.spec.shape))
    return step(linear(input, w_ih, b_ih), state, w_hh, b_hh)


@composed(samples=_cell_samples(4, 2), errors=_cell_errors(4, 2))
def lstm_cell(
    input: TensorT, hx: tuple[TensorT, TensorT], w_ih: TensorT, w_hh: TensorT, b_ih: TensorT | None = None,
    b_hh: TensorT | None = None,
) -> tuple[TensorT, TensorT]:
    """Run one step of an LSTM.

    ``i, f, g, o = split(w_ih x + b_ih + w_hh h + b_hh)``, ``c' = sigmoid(f) c + sigmoid(i) tanh(g)``,
    ``h' = sigmoid(o) tanh(c')``.

    Args:
        input: (N, F) or (F,).
        hx: hidden and cell state, (N, H) or (H,) each.
        w_ih: (4 H, F).
        w_hh: (4 H, H).
        b_ih: (4 H,), or None.
        b_hh: (4 H,), or None.

    Returns:
        The new hidden and cell state.

    Raises:
        ShapeError: if the sizes do not fit.

    Source: Hochreiter and Schmidhuber 1997; forget gates: Gers, Schmidhuber and Cummins 2000.

    >>> import autodiff as ad
    >>> h, c = ad.lstm_cell(ad.zeros(1, 2), (ad.zeros(1, 3), ad.ones(1, 3)), ad.zeros(12, 2), ad.zeros(12, 3))
    >>> c
    tensor([[0.5000, 0.5000, 0.5000]])
    """
    return _cell("lstm_cell", lstm_step, input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


@composed(samples=_cell_samples(3, 1), errors=_cell_errors(3, 1))
def gru_cell(
    input: TensorT, hx: TensorT, w_ih: TensorT, w_hh: TensorT, b_ih: TensorT | None = None, b_hh: TensorT | None = None
) -> TensorT:
    """Run one step of a gated recurrent unit.

    With the rows of the weights split into r, z and n: ``r = sigmoid(...)``, ``z = sigmoid(...)``,
    ``n = tanh(w_in x + b_in + r (w_hn h + b_hn))``, ``h' = (1 - z) n + z h``.

    Args:
        input: (N, F) or (F,).
        hx: state, (N, H) or (H,).
        w_ih: (3 H, F).
        w_hh: (3 H, H).
        b_ih: (3 H,), or None.
        b_hh: (3 H,), or None.

    Returns:
        The new state.

    Raises:
        ShapeError: if the sizes do not fit.

    Source: Cho et al. 2014; here, as in PyTorch, the reset gate acts after the product with the state.

    >>> import autodiff as ad
    >>> ad.gru_cell(ad.zeros(1, 2), ad.ones(1, 3), ad.zeros(9, 2), ad.zeros(9, 3))
    tensor([[0.5000, 0.5000, 0.5000]])
    """
    return _cell("gru_cell", gru_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]  # type: ignore[no-any-return]


@composed(samples=_cell_samples(1, 1), errors=_cell_errors(1, 1))
def rnn_tanh_cell(
    input: TensorT, hx: TensorT, w_ih: TensorT, w_hh: TensorT, b_ih: TensorT | None = None, b_hh: TensorT | None = None
) -> TensorT:
    """Return ``tanh(w_ih x + b_ih + w_hh h + b_hh)``: one step of Elman's network.

    Args:
        input: (N, F) or (F,).
        hx: state, (N, H) or (H,).
        w_ih: (H, F).
        w_hh: (H, H).
        b_ih: (H,), or None.
        b_hh: (H,), or None.

    Raises:
        ShapeError: if the sizes do not fit.

    Source: Elman, "Finding structure in time", 1990.

    >>> import autodiff as ad
    >>> ad.rnn_tanh_cell(ad.zeros(1, 2), ad.ones(1, 3), ad.zeros(3, 2), ad.zeros(3, 3))
    tensor([[0., 0., 0.]])
    """
    return _cell("rnn_tanh_cell", tanh_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]  # type: ignore[no-any-return]


@composed(samples=_cell_samples(1, 1), errors=_cell_errors(1, 1))
def rnn_relu_cell(
    input: TensorT, hx: TensorT, w_ih: TensorT, w_hh: TensorT, b_ih: TensorT | None = None, b_hh: TensorT | None = None
) -> TensorT:
    """Return ``relu(w_ih x + b_ih + w_hh h + b_hh)``; arguments as for `rnn_tanh_cell`.

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.rnn_relu_cell(ad.zeros(1, 2), ad.ones(1, 3), ad.zeros(3, 2), ad.eye(3))
    tensor([[1., 1., 1.]])
    """
    return _cell("rnn_relu_cell", relu_step, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]  # type: ignore[no-any-return]


# ---- Layers ----------------------------------------------------------------------------------------------------------


def _check_layers(
    operation: str, input: Any, states: State, params: Sequence[Any], has_biases: bool, num_layers: int,
    directions: int, batch_first: bool, batch_sizes: Sequence[int] | None,
) -> None:
    shape = input.spec.shape
    each = 4 if has_biases else 2
    count = num_layers * directions * each
    if len(params) != count:
        raise ShapeError(operation, "the number of weights is wrong", got=str(len(params)),
                         expected=f"{count}: {each} for each of {num_layers} layers and {directions} directions")
    ranks = (2,) if batch_sizes is not None else (2, 3)
    if len(shape) not in ranks:
        layout = "(batch, time, features)" if batch_first else "(time, batch, features)"
        raise ShapeError(operation, "the input has the wrong number of dimensions",
                         expected=f"(time, features) or {layout}", got=str(shape))
    if shape[-1] != params[0].spec.shape[-1]:
        raise ShapeError(operation, "the last size of the input is not the layer's number of input features",
                         expected=f"(..., {params[0].spec.shape[-1]})", got=str(shape))
    time = 1 if batch_first and len(shape) == 3 else 0
    if shape[time] == 0:
        raise ShapeError(operation, "the sequence is empty", expected="at least one step", got=str(shape))
    hidden = params[1].spec.shape[-1]
    batch: tuple[int, ...] = ()
    if batch_sizes is not None:
        batch = (batch_sizes[0],)
    elif len(shape) == 3:
        batch = (shape[1 - time],)
    want = (num_layers * directions, *batch, hidden)
    for state in states:
        if state.spec.shape != want:
            raise ShapeError(operation, "the state has the wrong shape", expected=str(want), got=str(state.spec.shape))


def _layers(
    operation: str, cell: Cell, input: Any, states: State, params: Sequence[Any], has_biases: bool, num_layers: int,
    dropout: float, train: bool, bidirectional: bool, batch_first: bool, batch_sizes: Sequence[int] | None,
) -> tuple[Any, ...]:
    """Run a stack of layers; return the outputs of the last one and, for each kind of state, the last of all layers."""
    directions = 2 if bidirectional else 1
    _check_layers(operation, input, states, params, has_biases, num_layers, directions, batch_first, batch_sizes)
    x, packed = input, batch_sizes is not None
    batched = packed or x.spec.ndim == 3
    if not batched:
        x, states = unsqueeze(x, 1), tuple([unsqueeze(state, 1) for state in states])
    turned = batch_first and batched and not packed
    if turned:
        x = transpose(x, 0, 1)
    sizes = (x.spec.shape[1],) * x.spec.shape[0] if batch_sizes is None else tuple(batch_sizes)
    starts = [unbind(state, 0) for state in states]
    weights = iter(params)
    finals: list[list[Any]] = [[] for _ in states]
    for layer in range(num_layers):
        sequences = []
        for direction in range(directions):
            w_ih, w_hh = next(weights), next(weights)
            biases = (next(weights), next(weights)) if has_biases else ()
            start = tuple([state[layer * directions + direction] for state in starts])
            output, *last = run_layer(cell, x, w_ih, w_hh, start, biases, direction == 1, sizes)
            sequences.append(output)
            for kept, state in zip(finals, last, strict=True):
                kept.append(state)
        x = cat(sequences, -1) if bidirectional else sequences[0]
        if dropout and layer < num_layers - 1:
            x = drop(x, dropout, train)
    if turned:
        x = transpose(x, 0, 1)
    results = [x, *[stack(kept, 0) for kept in finals]]
    return tuple(results) if batched else tuple([select(result, 1, 0) for result in results])


def _layer_samples(gates: int, states: int) -> Callable[[], list[Sample]]:
    def sample(
        layers: int, bidirectional: bool, biases: bool, batch_first: bool, batched: bool = True,
        dtype: Any = np.float32,
    ) -> Sample:
        def numbers(low: float, *shape: int) -> Any:
            return spread(low, 1, *shape, dtype=dtype)

        directions = 1 + bidirectional
        params: list[Any] = []
        for layer in range(layers):
            for direction in range(directions):
                low = -1 + 0.1 * direction
                features = 2 * directions if layer else 3
                params += [numbers(low, gates * 2, features), numbers(low, gates * 2, 2)]
                params += [numbers(low, gates * 2), numbers(2 * low, gates * 2)] if biases else []
        shape = (layers * directions, 2, 2) if batched else (layers * directions, 2)
        sizes = ((2, 3, 3) if batch_first else (3, 2, 3)) if batched else (3, 3)
        start = [numbers(-1, *shape), numbers(-2, *shape)][:states]
        return Sample(numbers(-2, *sizes), _given(start), params, biases, layers, 0.0, True, bidirectional, batch_first)

    return lambda: [sample(1, False, True, False), sample(2, True, True, True), sample(2, False, False, False),
                    sample(1, True, True, False, batched=False), sample(1, False, True, True, dtype=np.float64)]


def _layer_errors(gates: int, states: int) -> Callable[[], list[ErrorSample]]:
    def errors() -> list[ErrorSample]:
        x, h = np.ones((3, 2, 3), np.float32), np.ones((1, 2, 2), np.float32)
        params = [np.ones((gates * 2, 3), np.float32), np.ones((gates * 2, 2), np.float32)]
        start, short = _given([h] * states), _given([h, h[:, :1]][-states:])
        options = (False, 1, 0.0, False, False, False)
        return [ErrorSample(Sample(x, start, params[:1], *options), ShapeError, "number of weights.*expected 2.*got 1"),
                ErrorSample(Sample(x[..., :2], start, params, *options), ShapeError, r"\(\.\.\., 3\); got \(3, 2, 2\)"),
                ErrorSample(Sample(x, short, params, *options), ShapeError, r"the state.*\(1, 2, 2\); got \(1, 1, 2\)"),
                ErrorSample(Sample(x[0, 0], start, params, *options), ShapeError, r"\(time, batch, features\)"),
                ErrorSample(Sample(x[:0], start, params, *options), ShapeError, "the sequence is empty")]

    return errors


@composed(samples=_layer_samples(4, 2), errors=_layer_errors(4, 2))
def lstm(
    input: TensorT, hx: tuple[TensorT, TensorT], params: Sequence[TensorT], has_biases: bool, num_layers: int,
    dropout: float, train: bool, bidirectional: bool, batch_first: bool, batch_sizes: Sequence[int] | None = None,
) -> tuple[TensorT, TensorT, TensorT]:
    """Run a stack of LSTM layers over sequences; a step is `lstm_cell`.

    Args:
        input: (T, N, F), (N, T, F) when `batch_first`, or (T, F).
        hx: first hidden and cell states, (layers D, N, H) each, D being 2 when `bidirectional`, else 1; without N for
            one sequence without a batch.
        params: for each layer, and in it for each direction: w_ih (4 H, F), or (4 H, D H) after the first layer,
            w_hh (4 H, H) and, with `has_biases`, b_ih and b_hh (4 H,).
        has_biases: whether `params` has biases.
        num_layers: number of layers.
        dropout: probability of dropping an element between layers.
        train: drop.
        bidirectional: run every layer in both directions, and join their outputs.
        batch_first: the batch is the first dimension of input and output.
        batch_sizes: None, or the number of sequences that reach each step, not rising: the input is then (sum, F), the
            steps one after the other without padding.

    Returns:
        Outputs of the last layer (T, N, D H), last hidden states and last cell states, of the shape of `hx`.

    Raises:
        ShapeError: if the sizes do not fit or there is no step.

    >>> import autodiff as ad
    >>> state, weights = ad.zeros(1, 1, 3), [ad.zeros(12, 2), ad.zeros(12, 3)]
    >>> output, h, c = ad.lstm(ad.ones(4, 1, 2), (state, state), weights, False, 1, 0.0, False, False, False)
    >>> output.shape, h.shape, c.shape
    ((4, 1, 3), (1, 1, 3), (1, 1, 3))
    """
    return _layers("lstm", LSTM, input, tuple(hx), params, has_biases, num_layers, dropout, train,
                   bidirectional, batch_first, batch_sizes)


@composed(samples=_layer_samples(3, 1), errors=_layer_errors(3, 1))
def gru(
    input: TensorT, hx: TensorT, params: Sequence[TensorT], has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool, batch_sizes: Sequence[int] | None = None,
) -> tuple[TensorT, TensorT]:
    """Run a stack of layers of gated recurrent units over sequences; a step is `gru_cell`.

    Arguments as for `lstm`, with one state and 3 H rows in each weight.

    Returns:
        Outputs of the last layer (T, N, D H), and the last states, of the shape of `hx`.

    Raises:
        ShapeError: if the sizes do not fit or there is no step.

    >>> import autodiff as ad
    >>> state, weights = ad.zeros(1, 1, 3), [ad.zeros(9, 2), ad.zeros(9, 3)]
    >>> output, h = ad.gru(ad.ones(4, 1, 2), state, weights, False, 1, 0.0, False, False, False)
    >>> output.shape, h.shape
    ((4, 1, 3), (1, 1, 3))
    """
    return _layers("gru", GRU, input, (hx,), params, has_biases, num_layers, dropout, train,
                   bidirectional, batch_first, batch_sizes)


@composed(samples=_layer_samples(1, 1), errors=_layer_errors(1, 1))
def rnn_tanh(
    input: TensorT, hx: TensorT, params: Sequence[TensorT], has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool, batch_sizes: Sequence[int] | None = None,
) -> tuple[TensorT, TensorT]:
    """Run a stack of simple recurrent layers over sequences; a step is `rnn_tanh_cell`.

    Arguments as for `lstm`, with one state and H rows in each weight.

    Returns:
        Outputs of the last layer (T, N, D H), and the last states, of the shape of `hx`.

    Raises:
        ShapeError: if the sizes do not fit or there is no step.

    >>> import autodiff as ad
    >>> state, weights = ad.zeros(1, 1, 3), [ad.ones(3, 2), ad.ones(3, 3)]
    >>> output, h = ad.rnn_tanh(ad.ones(4, 1, 2), state, weights, False, 1, 0.0, False, False, False)
    >>> output.shape, h.shape
    ((4, 1, 3), (1, 1, 3))
    """
    return _layers("rnn_tanh", RNN_TANH, input, (hx,), params, has_biases, num_layers, dropout, train,
                   bidirectional, batch_first, batch_sizes)


@composed(samples=_layer_samples(1, 1), errors=_layer_errors(1, 1))
def rnn_relu(
    input: TensorT, hx: TensorT, params: Sequence[TensorT], has_biases: bool, num_layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool, batch_sizes: Sequence[int] | None = None,
) -> tuple[TensorT, TensorT]:
    """Run a stack of simple recurrent layers over sequences; a step is `rnn_relu_cell`. Arguments as for `rnn_tanh`.

    Returns:
        Outputs of the last layer (T, N, D H), and the last states, of the shape of `hx`.

    Raises:
        ShapeError: if the sizes do not fit or there is no step.

    >>> import autodiff as ad
    >>> state, weights = ad.zeros(1, 1, 3), [ad.ones(3, 2), ad.ones(3, 3)]
    >>> output, h = ad.rnn_relu(ad.ones(4, 1, 2), state, weights, False, 1, 0.0, False, False, False)
    >>> output.shape, h.shape
    ((4, 1, 3), (1, 1, 3))
    """
    return _layers("rnn_relu", RNN_RELU, input, (hx,), params, has_biases, num_layers, dropout, train,
                   bidirectional, batch_first, batch_sizes)
