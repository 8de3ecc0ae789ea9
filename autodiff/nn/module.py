"""`Module`: parameters, buffers and sub-modules under names, and a forward function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from weakref import ref

import numpy as np

from autodiff.autograd.modes import no_grad
from autodiff.compiler.function import Compiled
from autodiff.creation import as_tensor, dtype_of
from autodiff.devices import check_device
from autodiff.eager import HookHandle, Tensor
from autodiff.errors import AutodiffError, DTypeError
from autodiff.nn.hooks import BackwardWatch
from autodiff.nn.parameter import Parameter
from autodiff.program import Memory, call_hook
from autodiff.slots import CHANGES
from autodiff.spec import spec_of
from autodiff.thread_mode import MODE

M = TypeVar("M", bound="Module")

_NOT_TENSORS = (np.ndarray, np.generic, list, tuple, int, float, type(None))


class LoadResult(NamedTuple):
    """What `load_state_dict` met: names the module has and the dictionary lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StateError(AutodiffError):
    """A state dictionary does not fit the module."""


class Module:
    """Base of all layers and models: subclass it, assign parameters and sub-modules in `__init__`, write `forward`.

    Attributes:
        training: whether dropout drops and batch norm uses the batch's statistics; see `train` and `eval`.

    >>> import autodiff as ad
    >>> class Scale(ad.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = ad.nn.Parameter(ad.tensor(2.0))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> Scale()(ad.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    """

    training: bool
    _parameters: dict[str, Tensor | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _transient: set[str]
    _label: str
    _named: bool
    _watched: bool  # whether a function that ran this module was recorded, and must know when the module changes
    _hooks: dict[int, tuple[str, Callable[..., Any]]]

    # Parameters, buffers and modules stand in these tables *and* among the ordinary attributes, so that reading
    # `self.weight` costs no more than any other attribute.

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _transient=set(), _label=type(self).__name__,
            _named=False, _hooks={}, _watched=False,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        tables = self.__dict__
        if "_parameters" not in tables:
            if isinstance(value, (Parameter, Module)):
                raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning parameters "
                                     "or modules")
            tables[name] = value
            return
        if isinstance(value, Compiled) and isinstance(value._fn, Module):
            raise DTypeError(type(self).__name__, f"'{name}' would be a compiled module, which cannot be a part of one",
                             fix="assign the module itself, and compile the whole")
        if isinstance(value, Parameter):
            self._register(self._parameters, name, value)
        elif isinstance(value, Module):
            self._register(self._modules, name, value)
            value._relabel(name)
        elif name in self._buffers and (value is None or isinstance(value, Tensor)):
            self._register(self._buffers, name, value)
        elif name in self._parameters:
            if value is not None:
                raise DTypeError(type(self).__name__, f"the parameter '{name}' can only become a Parameter or None",
                                 got=type(value).__name__,
                                 fix=f"write nn.Parameter(tensor), or delete self.{name} first")
            self._register(self._parameters, name, None)
        elif name in self._modules and value is None:
            self._register(self._modules, name, None)
        else:
            for table in (self._buffers, self._modules):
                table.pop(name, None)
            if not _same(tables.get(name), value):
                self._note_change(f".{name} was set")
            object.__setattr__(self, name, value)

    def _watch(self) -> list[Module]:
        """Let this module and all below it tell from now on when they change; return them."""
        modules = list(self.modules())
        for module in modules:
            module.__dict__["_watched"] = True
        return modules

    def _note_change(self, what: str) -> None:
        if self._watched:
            CHANGES.note(self, f"{type(self).__name__}{what}")

    def _register(self, table: dict[str, Any], name: str, value: Any) -> None:
        if "." in name or not name:
            raise KeyError(f"the name {name!r} of a parameter, buffer or module must not be empty or contain a dot")
        if table is self._modules and value is not None and not isinstance(value, Module):
            raise DTypeError(type(self).__name__, f"the sub-module '{name}' is not a module", expected="a module",
                             got=f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__,
                             fix="call a class to make a module, unpack a list with *, wrap functions in a Module")
        tables: tuple[dict[str, Any], ...] = (self._parameters, self._buffers, self._modules)
        for other in tables:
            if other is not table:
                other.pop(name, None)
        if self.__dict__.get(name) is not value:
            self._note_change(f".{name} was set")
        table[name] = value
        self.__dict__[name] = value
        self.__dict__["_named"] = False

    def __delattr__(self, name: str) -> None:
        self._note_change(f".{name} was deleted")
        for table in (self._parameters, self._buffers, self._modules):
            table.pop(name, None)
        object.__delattr__(self, name)

    def _relabel(self, name: str) -> None:
        """Take the name that the parent module calls this one by."""
        self.__dict__["_label"] = name

    # ---- Calling -----------------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; override.

        Raises:
            NotImplementedError: unless overridden.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, ...)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outer, recorder = MODE.scope, MODE.recorder
        if outer:
            MODE.scope = f"{outer}.{self._label}"
        else:
            MODE.scope = self._label if recorder is None else recorder.name_of(self, self._label)
            if not self._named:
                self._name_parameters()
        if recorder is not None:
            recorder.entered(self, outer)
        try:
            return self._call_with_hooks(args, kwargs) if self._hooks else self.forward(*args, **kwargs)
        except AutodiffError as error:
            error.within(MODE.scope, type(self).__name__)
            raise
        except AttributeError as error:
            if error.name == "spec" and isinstance(error.obj, _NOT_TENSORS):
                wrong = DTypeError(type(self).__name__, "an input is not a tensor", expected="a tensor",
                                   got=type(error.obj).__name__, fix="wrap it with autodiff.tensor(...)")
                wrong.within(MODE.scope, type(self).__name__)
                raise wrong from None
            raise
        finally:
            MODE.scope = outer

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook in self._hooks_of("before"):
            changed = call_hook(hook, self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        backward = self._hooks_of("backward")
        if backward and MODE.grad:
            watch = BackwardWatch(self, backward)
            result = watch.outputs(self.forward(*watch.inputs(args), **kwargs))
        else:
            result = self.forward(*args, **kwargs)
        for hook in self._hooks_of("after"):
            changed = call_hook(hook, self, args, result)
            result = result if changed is None else changed
        return result

    def _hooks_of(self, kind: str) -> list[Callable[..., Any]]:
        return [hook for own, hook in self._hooks.values() if own == kind]

    def _name_parameters(self) -> None:
        """Let parameters and buffers carry their paths, for graphs and errors."""
        for name, tensor in [*self.named_parameters(), *self.named_buffers()]:
            tensor.name = name
        self.__dict__["_named"] = True

    def register_forward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(module, args, output)`` after every forward; its result, if not None, replaces the output."""
        return _Registered(self, ("after", hook))

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(module, args)`` before every forward; its result, if not None, replaces the arguments."""
        return _Registered(self, ("before", hook))

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of a call's inputs are known.

        Both are tuples, with None where there is no gradient; what the hook returns, if not None, replaces
        `grad_input`. Inputs are the positional arguments.
        """
        return _Registered(self, ("backward", hook))

    # ---- Tables ------------------------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under a name; None reserves the name."""
        self._register(self._parameters, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but no parameter, such as a running mean.

        Args:
            name: attribute name.
            tensor: the buffer, or None.
            persistent: whether it belongs to the `state_dict`.
        """
        self._register(self._buffers, name, tensor)
        self._transient.discard(name) if persistent else self._transient.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module under a name."""
        self._register(self._modules, name, module)
        if module is not None:
            module._relabel(name)

    register_module = add_module

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield this module and all below it with their paths."""
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it."""
        seen: set[int] = set()
        stack = [self]
        while stack:
            module = stack.pop()
            if id(module) not in seen:
                seen.add(id(module))
                yield module
                if module._modules:
                    stack.extend(child for child in reversed(module._modules.values()) if child is not None)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the direct sub-modules with their names, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """Yield the direct sub-modules."""
        for _, module in self.named_children():
            yield module

    def _named_tensors(
        self, table: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in getattr(module, table).items():
                if tensor is not None and id(tensor) not in seen:
                    if remove_duplicate:
                        seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their paths, each once."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters, each once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the buffers with their paths, each once."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """Return the module at a path such as ``"layer1.0"``.

        Raises:
            AttributeError: if there is none.
        """
        module: Module = self
        for name in target.split(".") if target else ():
            found = module._modules.get(name)
            if found is None:
                raise AttributeError(f"{type(module).__name__} has no sub-module '{name}'")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at a path such as ``"layer1.0.weight"``.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"there is no parameter '{target}'")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer at a path such as ``"bn1.running_mean"``.

        Raises:
            AttributeError: if there is none.
        """
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"there is no buffer '{target}'")
        return found

    # ---- State -------------------------------------------------------------------------------------------------------

    def state_dict(
        self, destination: dict[str, Tensor] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Tensor]:
        """Return all parameters and persistent buffers by path: tensors on the same memory, without history.

        Args:
            destination: dictionary to write into; a new one by default.
            prefix: begins every path, with its dot.
            keep_vars: return the parameters and buffers themselves.
        """
        result = {} if destination is None else destination
        for path, module in self.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and name not in module._transient:
                    result[f"{path}.{name}" if path else name] = tensor if keep_vars else tensor.detach()
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values into parameters and buffers; nothing is changed when anything does not fit.

        Args:
            state_dict: tensors, or arrays, by path.
            strict: raise when names are missing or left over.

        Returns:
            Missing and unexpected names.

        Raises:
            StateError: lists every missing or unexpected name (strict) and every shape that differs.
        """
        own = self.state_dict()
        given = {name: value if isinstance(value, Tensor) else as_tensor(np.asarray(value))
                 for name, value in state_dict.items()}
        missing = [name for name in own if name not in given]
        unexpected = [name for name in given if name not in own]
        wrong = [f"{name}: expected {own[name].shape}, got {value.shape}" for name, value in given.items()
                 if name in own and value.shape != own[name].shape]
        problems = [f"other shapes ({'; '.join(wrong)})"] if wrong else []
        if strict:
            problems += [f"missing names ({', '.join(missing)})"] if missing else []
            problems += [f"unexpected names ({', '.join(unexpected)})"] if unexpected else []
        if problems:
            raise StateError("load_state_dict", f"the state does not fit {type(self).__name__}: " + "; ".join(problems),
                             fix="load it into the model it was saved from, or pass strict=False to ignore names")
        with no_grad():
            for name, value in given.items():
                if name in own:
                    own[name].copy_(value)
        return LoadResult(missing, unexpected)

    def train(self: M, mode: bool = True) -> M:
        """Switch this module and all below it to training, and return it."""
        for module in self.modules():
            if module._watched and module.training is not bool(mode):
                CHANGES.switch(module, "training",
                               f"{type(self).__name__}.{'train' if mode else 'eval'}() was called")
            module.__dict__["training"] = bool(mode)
        return self

    def eval(self: M) -> M:
        """Switch this module and all below it to evaluation, and return it."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Say for all parameters whether gradients are wanted, and return the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for module in self.modules():
            for parameter in module._parameters.values():
                if parameter is not None and parameter.grad is not None:
                    if set_to_none:
                        parameter.grad = None
                    else:
                        parameter.grad.detach_().zero_()

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call ``fn(module)`` for every module below this one and then for this one; return the module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Convert floating-point parameters and buffers to a dtype; a device must be the CPU. Returns the module.

        Args:
            args: a dtype, a device, or a tensor whose dtype is taken.
            kwargs: `dtype`, `device`, and `non_blocking` and `memory_format`, which change nothing here.

        Raises:
            DTypeError: for a dtype that is no float type, or a device that is not the CPU.
        """
        for ignored in ("non_blocking", "memory_format"):
            kwargs.pop(ignored, None)
        for argument in (*args, *kwargs.values()):
            if isinstance(argument, Tensor):
                self._convert(argument.dtype)
            elif isinstance(argument, (np.dtype, type)):
                self._convert(dtype_of(argument))
            elif not isinstance(argument, bool):
                check_device(argument)
        return self

    def _convert(self, dtype: np.dtype[Any]) -> None:
        if dtype.kind != "f":
            raise DTypeError("to", "a module converts to float dtypes only", got=dtype.name)
        for tensor in [*self.parameters(), *self.buffers()]:
            if tensor.spec.floating and tensor.dtype != dtype:
                tensor.array = tensor.array.astype(dtype)
                tensor.spec = spec_of(tensor.array)
                tensor.memory = Memory()
                if tensor.watched:
                    CHANGES.note(tensor, f"{tensor.name} became {dtype.name}")
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.to(dtype)

    def float(self: M) -> M:
        """Convert to float32, and return the module."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Convert to float64, and return the module."""
        return self.to(np.float64)

    def cpu(self: M) -> M:
        """Return the module: it is on the CPU."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """Raise: there is no GPU.

        Raises:
            DTypeError: always.
        """
        return self.to("cuda")

    # ---- Printing ----------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return what stands between the parentheses in `repr`; override."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if not children:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = ([self.extra_repr()] if self.extra_repr() else []) + children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._parameters, *self._buffers, *self._modules})


class _Registered(HookHandle):
    """Handle of a hook in one of a module's tables. It does not keep the module, which may keep the handle."""

    def __init__(self, module: Module, hook: Any) -> None:
        self._module = ref(module)
        self._key = max(module._hooks, default=-1) + 1
        module._note_change(" was given a hook")
        module._hooks[self._key] = hook

    def __getstate__(self) -> Any:
        return self._module(), self._key

    def __setstate__(self, state: tuple[Module | None, int]) -> None:
        module, self._key = state
        self._module = ref(Module() if module is None else module)  # one that is gone has no hooks

    def remove(self) -> None:
        """Take the hook away; nothing happens the second time."""
        module = self._module()
        if module is not None and self._key in module._hooks:
            module._note_change(" lost a hook")
            del module._hooks[self._key]


def _same(before: Any, now: Any) -> bool:
    """Return whether an attribute keeps its value: the same object, or an equal number, string or truth value."""
    return before is now or (type(before) is type(now) and isinstance(now, bool | int | float | str) and before == now)
