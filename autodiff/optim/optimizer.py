"""What all optimizers share: parameter groups, state, `zero_grad`, `state_dict`."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from itertools import compress
from operator import attrgetter, itemgetter
from typing import Any

from autodiff.arguments import several
from autodiff.autograd.modes import enable_grad
from autodiff.eager import Tensor, grads_of, wrap
from autodiff.errors import AutodiffError, DTypeError, ValueRangeError
from autodiff.slots import CHANGES, Settings
from autodiff.thread_mode import MODE

_dtype = attrgetter("spec.dtype")


class OptimizerStateError(AutodiffError):
    """A state dictionary does not fit the optimizer."""


class Optimizer:
    """Base of the optimizers: holds parameters in groups with their own settings, and a state for each parameter.

    Args:
        params: parameters, ``(name, parameter)`` pairs, or dictionaries (groups) with ``"params"`` and settings.
        defaults: settings of groups that do not say otherwise.

    Attributes:
        param_groups: list of dictionaries, ``"params"`` and the settings; they may be changed between steps.
        state: state of each parameter, by parameter.

    Raises:
        ValueRangeError: for no parameters, or one that is in two groups.
        DTypeError: for something that is no leaf tensor.

    A subclass names its state in `slots` (tensors of a parameter's shape) and `numbers`, and the operation that takes
    the step; or it writes `update`. Parameters whose ``"step"`` and `numbers` agree are updated together.
    """

    take: Callable[..., None] | None = None
    slots: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    _watched = False  # whether a function that uses this optimizer was recorded, and must know when it changes

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if MODE.recorder is not None:
            MODE.recorder.opaque("the function makes an optimizer", "make it outside")
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise DTypeError(
                type(self).__name__,
                "the parameters must be an iterable of tensors",
                got="a tensor" if isinstance(params, Tensor) else f"a {type(params).__name__}",
                fix="write [tensor], or model.parameters()",
            )
        given = list(params)
        if not given:
            raise ValueRangeError(
                type(self).__name__,
                "there are no parameters to optimize",
                fix="pass model.parameters() of a model that has parameters",
            )
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with their own settings.

        Raises:
            ValueRangeError: if a setting is missing or a parameter is in a group already.
            DTypeError: for something that is no leaf tensor.
        """
        name = type(self).__name__
        if "params" not in param_group:
            raise ValueRangeError(name, "a group has no parameters", expected="the key 'params'",
                                  got=", ".join(map(repr, param_group)))
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else [p[1] if isinstance(p, tuple) else p for p in given]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise DTypeError(name, "only tensors can be optimized", got=type(p).__name__,
                                 fix="pass the parameters: model.parameters()")
            if not p.is_leaf:
                raise DTypeError(
                    name,
                    "only leaf tensors can be optimized",
                    got=f"the result of {p.grad_fn}",
                    fix="pass the parameters themselves, not something computed from them",
                )
            if id(p) in known:
                raise ValueRangeError(
                    name, "a parameter stands in two groups, or twice in one", got=p.name or repr(p.spec)
                )
            known.add(id(p))
        self._note_change("was given a parameter group")
        self.param_groups.append(Settings({"params": params} | self.defaults | param_group | {"params": params}))

    def _watch(self) -> list[Optimizer]:
        """Tell from now on of changes; return itself, as a module returns itself and all below it."""
        self._watched = True
        return [self]

    def _note_change(self, what: str) -> None:
        if self._watched:
            CHANGES.note(self, f"{type(self).__name__} {what}")

    def _tell_members(self, *more: Any) -> None:
        """Let a recorder know which parameters there are."""
        if MODE.recorder is not None:
            MODE.recorder.watch(self)
            for container in (self.param_groups, *[group["params"] for group in self.param_groups], *more):
                MODE.recorder.members(container)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        self._tell_members()
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad.detach_().zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient, once.

        Args:
            closure: computes the loss anew and returns it; called with gradients recorded.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if MODE.recorder is not None and type(self).update is not Optimizer.update:
            MODE.recorder.opaque(f"{type(self).__name__} has an update of its own, in Python",
                                 "name an operation in `take`, or step outside the compiled function")  # fmt: skip
        grad, phase = MODE.grad, MODE.phase
        MODE.grad, MODE.phase = False, "update"
        try:
            for group in self.param_groups:
                self._step_group(group)
            self._tell_members(self.state)
        finally:
            MODE.grad, MODE.phase = grad, phase
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        """Bring the state of a group's parameters into being and update those that have gradients, dtype by dtype."""
        grads = grads_of(group["params"])
        params = [p for p, grad in zip(group["params"], grads, strict=True) if grad is not None]
        grads = [grad for grad in grads if grad is not None]
        states = list(map(self.state.__getitem__, params))
        progress = ("step", *self.numbers)
        needed = (*progress, *self.used(group))
        try:
            deque(map(itemgetter(*needed), states), 0)
        except KeyError:  # at first, and when a setting that needs a slot is switched on later
            for p, state in zip(params, states, strict=True):
                if not state.keys() >= set(needed):
                    self.initialise(p, state, group)
        keys = list(zip(map(_dtype, params), map(itemgetter(*progress), states), strict=True))
        recorder = MODE.recorder
        distinct = dict.fromkeys(keys)
        for key in distinct:
            columns: list[list[Any]] = [params, grads, states]
            if len(distinct) > 1:
                alike = [other == key for other in keys]
                columns = [list(compress(column, alike)) for column in columns]
            some, gradients, own = columns
            if recorder is not None:
                self._name_slots(some, own, group)
                recorder.repeat(partial(self.advance, own, group), partial(self.conclude, own, group), own, progress)
            self.advance(own, group)
            self.update(some, gradients, own, group)
            self.conclude(own, group)

    def _name_slots(self, params: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]) -> None:
        """Let the tensors of the states carry names, for graphs and errors."""
        for p, state in zip(params, states, strict=True):
            for slot in self.used(group):
                state[slot].name = f"{slot} of {p.name}" if p.name else slot

    def advance(self, states: list[dict[str, Any]], group: dict[str, Any]) -> None:
        """Bring the step counts, and the `numbers`, of parameters that are updated together to the step to be taken."""
        step = states[0]["step"] + 1
        for state in states:
            state["step"] = step

    def conclude(self, states: list[dict[str, Any]], group: dict[str, Any]) -> None:
        """Set the `numbers` for the next step, where they depend on the settings of this one."""

    def used(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Return the slots that the settings of a group make use of: all, unless overridden."""
        return self.slots

    def first_value(self, name: str, group: dict[str, Any]) -> float:
        """Return what a slot or a number of the state begins with: 0, unless overridden."""
        return 0.0

    def initialise(self, p: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Add what a parameter's state lacks."""
        state.setdefault("step", 0)
        for name in self.numbers:
            state.setdefault(name, self.first_value(name, group))
        for slot in self.used(group):
            if slot not in state:
                array = p.spec.empty()
                array[...] = self.first_value(slot, group)
                state[slot] = wrap(array)

    def update(
        self, params: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        """Change parameters of one dtype in place: by the operation `take`, unless overridden.

        It gets the parameters, a list for each slot (empty where it is not used), the gradients, and by name those of
        the group's settings and of the state's `numbers` that it asks for.

        Args:
            params: parameters that have gradients.
            grads: their gradients.
            states: their states; ``"step"`` counts the steps that they have made, this one included.
            group: the group's settings.
        """
        if self.take is None:
            raise NotImplementedError
        used = self.used(group)
        columns = [[state[slot] for state in states] if slot in used else [] for slot in self.slots]
        given = {name: states[0][name] for name in self.numbers}
        given["step_count"] = states[0]["step"]
        if MODE.recorder is not None:
            given = MODE.recorder.settings(group) | MODE.recorder.settings(states[0], self.numbers, step_count="step")
        settings = {name: given[name] if name in given else dict.__getitem__(group, name)
                    for name in self.take.__kwdefaults__ or ()}
        self.take(params, *columns, grads, **settings)

    # ---- State -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the settings of all groups and the state of all parameters, parameters replaced by their numbers."""
        numbers = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[p]: dict(state) for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over settings and state; tensors are copied.

        Raises:
            OptimizerStateError: if groups or shapes do not fit; nothing is changed then.
        """
        groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        if [len(group["params"]) for group in groups] != sizes:
            raise OptimizerStateError(
                "load_state_dict",
                "the parameter groups differ",
                expected=f"groups of {sizes} parameters",
                got=f"{[len(group['params']) for group in groups]}",
            )
        params = [p for group in self.param_groups for p in group["params"]]
        numbers = [n for group in groups for n in group["params"]]
        loaded: dict[Tensor, dict[str, Any]] = defaultdict(dict)
        for p, number in zip(params, numbers, strict=True):
            for key, value in state_dict["state"].get(number, state_dict["state"].get(str(number), {})).items():
                if key == "step":
                    value = int(value)
                elif key in self.numbers:
                    value = float(value)
                elif key in self.slots:
                    if tuple(value.shape) != p.shape:
                        raise OptimizerStateError(
                            "load_state_dict",
                            f"'{key}' of parameter {number} has another shape",
                            expected=str(p.shape),
                            got=str(tuple(value.shape)),
                        )
                    array = p.spec.empty()
                    array[...] = value.array if isinstance(value, Tensor) else value
                    value = wrap(array)
                else:
                    value = deepcopy(value)
                loaded[p][key] = value
        self._note_change("was given another state")
        self.state = loaded
        for group, new in zip(self.param_groups, groups, strict=True):
            group.update({key: value for key, value in new.items() if key != "params"})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {value}" for key, value in sorted(group.items()) if key != "params"]
        return "\n".join([*lines, ")"])


def check_pair(name: str, **pairs: tuple[float, float]) -> None:
    """Raise for the first setting that is not two numbers.

    Raises:
        DTypeError: names the setting.
    """
    for setting, value in pairs.items():
        if not several(value) or len(value) != 2:
            raise DTypeError(name, f"'{setting}' is no pair of numbers", expected="two numbers", got=repr(value))


def check_settings(name: str, **ranges: tuple[float, float, float]) -> None:
    """Raise for the first setting outside its range; each is given as ``(value, least, below)``.

    Raises:
        DTypeError: names the setting that is no number.
        ValueRangeError: names the setting, its range and its value.
    """
    for setting, (value, least, below) in ranges.items():
        if isinstance(value, str):  # YAML reads 1e-3 as one
            raise DTypeError(name, f"'{setting}' is no number", got=repr(value), fix=f"write float({setting})")
        if not least <= value < below:
            raise ValueRangeError(
                name,
                f"'{setting}' is outside its range",
                expected=f"{least} <= {setting}" + (f" < {below}" if below != float("inf") else ""),
                got=str(value),
            )
