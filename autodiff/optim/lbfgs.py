"""L-BFGS: a quasi-Newton method for full batches, with a line search."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from autodiff import ops
from autodiff.autograd.modes import enable_grad
from autodiff.creation import zeros, zeros_like
from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.optim.optimizer import Optimizer, check_settings
from autodiff.thread_mode import MODE

_SUFFICIENT, _CURVATURE = 1e-4, 0.9  # the constants of the Wolfe conditions
_EVALUATIONS = 25  # of a line search
_LEAST = 1e-10  # curvature of a pair that is kept


class LBFGS(Optimizer):
    r"""L-BFGS: steps along an estimate of Newton's direction, built from the last changes of weights and gradient.

    The estimate of the inverse Hessian is never written down: a loop over the pairs :math:`s_i = w_{i+1} - w_i,
    y_i = g_{i+1} - g_i` multiplies the gradient by it. One call of `step` makes up to `max_iter` iterations, each of
    which calls the closure at least once; meant for full batches, where the loss is the same function in every call.

    Args:
        params: parameters, in one group.
        lr: factor of a step; without a line search, of every step.
        max_iter: most iterations in a call of `step`.
        max_eval: most calls of the closure in a call of `step`; ``max_iter * 5 // 4`` by default.
        tolerance_grad: end where no element of the gradient is larger.
        tolerance_change: end where weights or loss change by less.
        history_size: number of pairs that are kept.
        line_search_fn: None, or ``"strong_wolfe"`` to look for a step that satisfies the strong Wolfe conditions.

    Raises:
        ValueRangeError: for a setting outside its range, an unknown line search, or several groups.

    Source: Nocedal, "Updating quasi-Newton matrices with limited storage", 1980; Nocedal & Wright, "Numerical
    optimization", 2006, algorithms 7.4 (direction), 3.5 and 3.6 (line search), with Schmidt's safeguards of minFunc.

    State, of the first parameter: ``n_iter`` and ``func_evals`` so far, the last direction, step, gradient and loss,
    the pairs, and the scalar products among them, from which each direction is computed (see `ops.lbfgs_direction`).

    >>> import autodiff as ad
    >>> w = ad.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = ad.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    13.0
    >>> closure().item() < 1e-9
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_settings("LBFGS", lr=(lr, 0, math.inf), history_size=(history_size, 1, math.inf))
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueRangeError(
                "LBFGS", "unknown line search", expected="None or 'strong_wolfe'", got=repr(line_search_fn)
            )
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueRangeError(
                "LBFGS", "there can be one group of parameters only", got=f"{len(self.param_groups)} groups"
            )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, propagates back and returns the loss.

        Returns:
            What `closure` returned first.

        Raises:
            ValueRangeError: without a closure.
        """
        if closure is None:
            raise ValueRangeError(
                "LBFGS.step", "a closure is needed, since the loss is evaluated several times",
                fix="pass a function that calls zero_grad() and backward() and returns the loss",
            )  # fmt: skip
        if MODE.recorder is not None:
            MODE.recorder.opaque("LBFGS decides by numbers how it goes on",
                                 "compile the closure instead: optimizer.step(compile(closure))")  # fmt: skip
        grad, phase = MODE.grad, MODE.phase
        MODE.grad, MODE.phase = False, "update"
        try:
            return self._iterate(closure)
        finally:
            MODE.grad, MODE.phase = grad, phase

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        params = group["params"]
        state = self.state[params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = _call(closure)
        loss, gradient, calls = float(first), _flat(params), 1
        state["func_evals"] += 1
        for iteration in range(1, group["max_iter"] + 1):
            if _largest(gradient) <= group["tolerance_grad"]:
                break
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            t = group["lr"] * (min(1.0, 1.0 / gradient.abs().sum().item()) if state["n_iter"] == 1 else 1.0)
            slope = gradient.dot(direction).item()
            state["d"], state["t"] = direction, t
            if slope > -group["tolerance_change"]:
                break
            along = _Line(closure, params, direction, keep=group["line_search_fn"] is not None)
            if along.starts:
                found = _strong_wolfe(along, _Point(0.0, loss, gradient, slope), t, group["tolerance_change"])
                loss, gradient, t = found.loss, found.gradient, found.t
                state["t"] = t
                along.move(t)
            else:
                along.move(t)
                if iteration < group["max_iter"]:  # nobody asks for the loss at the last place
                    loss, gradient = along.evaluate()
            calls += along.calls
            state["func_evals"] += along.calls
            if (
                calls >= group["max_eval"]
                or _largest(direction) * abs(t) <= group["tolerance_change"]
                or abs(loss - state["prev_loss"]) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], gradient: Tensor, history_size: int) -> Tensor:
        """Return the direction of the next step, after the last one has been entered into the history."""
        state["n_iter"] += 1
        none = zeros(2, 0, 0, dtype="float64")
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0, products=none)
            return -gradient
        changes, steps, known = state["old_dirs"], state["old_stps"], state.get("products", none)
        change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        if change.dot(step).item() > _LEAST:
            drop = int(len(steps) == history_size)
            changes_now, steps_now = [*changes[drop:], change], [*steps[drop:], step]
            direction, products = _along(gradient, known[:, drop:, drop:], changes_now, steps_now)
            curvature = products[0, -1, -1].item()  # in float64: what the pair is divided by
            if curvature > _LEAST:
                state.update(old_dirs=changes_now, old_stps=steps_now, ro=[*state["ro"][drop:], 1.0 / curvature],
                             H_diag=curvature / products[1, -1, -1].item(), products=products)
                return direction
        if not steps:
            return -gradient
        direction, state["products"] = _along(gradient, known[:, :-1, :-1], changes, steps)
        return direction


def _along(
    gradient: Tensor, known: Tensor, changes: Sequence[Tensor], steps: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the direction and the products of all pairs; those of the newest pair are not known yet."""
    direction = -gradient
    for n in range(known.shape[1] + 1, len(steps) + 1):  # once, unless the products were not loaded with the rest
        direction, known = ops.lbfgs_direction(gradient, known, changes[:n], steps[:n])
    return direction, known


def _call(closure: Callable[[], Any]) -> Any:
    """Evaluate the loss: no part of the update, even inside of it."""
    MODE.phase, phase = "forward", MODE.phase
    try:
        with enable_grad():
            return closure()
    finally:
        MODE.phase = phase


def _flat(params: list[Tensor]) -> Tensor:
    """Return the gradients of all parameters as one vector; zeros where there is none."""
    return ops.cat([(zeros_like(p) if p.grad is None else p.grad.detach()).reshape(-1) for p in params])


def _largest(vector: Tensor) -> float:
    return max(float(vector.amax().item()), -float(vector.amin().item()))


class _Point(NamedTuple):
    """What is known at a place of a line: how far, the loss, the gradient, and its slope along the line."""

    t: float
    loss: float
    gradient: Tensor
    slope: float


class _Line:
    """The loss as a function of the distance along a direction."""

    def __init__(self, closure: Callable[[], Any], params: list[Tensor], direction: Tensor, keep: bool) -> None:
        self.closure, self.params, self.direction, self.calls = closure, params, direction, 0
        self.starts = [p.detach().clone() for p in params] if keep else []
        ends = accumulate(p.numel() for p in params)
        self.pieces = [
            direction[end - p.numel() : end].reshape(p.shape).to(p.dtype) for p, end in zip(params, ends, strict=True)
        ]

    def move(self, t: float) -> None:
        """Set the parameters to the place at `t`; without starts, go on from where they are."""
        for dtype in {p.dtype for p in self.params}:
            columns = (
                [x for p, x in zip(self.params, column, strict=False) if p.dtype == dtype]
                for column in (self.params, self.starts, self.pieces)
            )
            ops.lbfgs_step(*columns, lr=t)

    def evaluate(self) -> tuple[float, Tensor]:
        """Return loss and gradient where the parameters are."""
        self.calls += 1
        loss = float(_call(self.closure))
        return loss, _flat(self.params)

    def __call__(self, t: float) -> _Point:
        self.move(t)
        loss, gradient = self.evaluate()
        return _Point(t, loss, gradient, gradient.dot(self.direction).item())


def _cubic(a: _Point, b: _Point, low: float, high: float) -> float:
    """Return where between `low` and `high` the cubic through two points and their slopes is least.

    Nocedal & Wright, equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = first**2 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return (low + high) / 2
    second = math.sqrt(square)
    least = b.t - (b.t - a.t) * ((b.slope + second - first) / (b.slope - a.slope + 2 * second))
    return min(max(least, low), high)


def _strong_wolfe(line: _Line, start: _Point, t: float, tolerance_change: float) -> _Point:
    """Return a point of a line where the loss has fallen enough and its slope has become small enough.

    Args:
        line: evaluates the loss at a distance.
        start: the point at distance 0; its slope is negative.
        t: distance to try first.
        tolerance_change: end where the interval is shorter, along the largest element of the direction.

    Returns:
        A point that satisfies the strong Wolfe conditions, or the lowest that a limited number of evaluations found.

    Source: Nocedal & Wright, algorithms 3.5 (until an interval is found) and 3.6 (which narrows it down).
    """

    def too_high(point: _Point) -> bool:
        return not point.loss <= start.loss + _SUFFICIENT * point.t * start.slope  # NaN is too high

    def flat(point: _Point) -> bool:
        return abs(point.slope) <= -_CURVATURE * start.slope

    before, now, evaluations = start, line(t), 0
    while evaluations < _EVALUATIONS:
        if too_high(now) or (evaluations > 1 and now.loss >= before.loss):
            ends = [before, now]
            break
        if flat(now):
            return now
        if now.slope >= 0:
            ends = [before, now]
            break
        t = _cubic(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now = now, line(t)
        evaluations += 1
    else:
        ends = [start, now]

    length = _largest(line.direction)
    low = 0 if ends[0].loss <= ends[1].loss else 1
    stalled = False
    while evaluations < _EVALUATIONS:
        left, right = sorted(point.t for point in ends)
        if (right - left) * length < tolerance_change:
            break
        t = _cubic(ends[0], ends[1], left, right)
        # Twice close to an end, or on it: a step of a tenth of the interval makes sure that it shrinks.
        tenth = 0.1 * (right - left)
        near = min(right - t, t - left) < tenth
        if near and (stalled or t >= right or t <= left):
            t = right - tenth if abs(t - right) < abs(t - left) else left + tenth
            near = False
        stalled = near
        now = line(t)
        evaluations += 1
        if too_high(now) or now.loss >= ends[low].loss:
            ends[1 - low] = now
            low = 0 if ends[0].loss <= ends[1].loss else 1
        else:
            if flat(now):
                return now
            if now.slope * (ends[1 - low].t - ends[low].t) >= 0:
                ends[1 - low] = ends[low]
            ends[low] = now
    return ends[low]
