"""Modules that hold modules or parameters."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from typing import Any, TypeVar, overload

from autodiff.eager import Tensor
from autodiff.errors import DTypeError, PositionError
from autodiff.nn.module import Module
from autodiff.nn.parameter import Parameter

S = TypeVar("S", bound="_ModuleSequence")


def _position(owner: object, index: Any, length: int) -> int:
    """Return an index counted from 0.

    Raises:
        PositionError: if it is out of range.
    """
    found = operator.index(index)
    if not -length <= found < length:
        raise PositionError(type(owner).__name__, "the index is out of range", expected=f"{-length} to {length - 1}",
                            got=str(found))
    return found % length


class _ModuleSequence(Module):
    """Modules under the names "0", "1", ... in order."""

    def _of(self: S, modules: Iterable[tuple[str, Module | None]]) -> S:
        """Return a container of this kind with these modules, which keep their labels: they are another's."""
        raise NotImplementedError

    def _set(self, modules: Iterable[Module]) -> None:
        """Replace the contents."""
        for name in list(self._modules):
            delattr(self, name)
        for position, module in enumerate(modules):
            self.add_module(str(position), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())  # type: ignore[arg-type]

    def __contains__(self, module: object) -> bool:
        return any(module is own for own in self)

    @overload
    def __getitem__(self: S, index: slice) -> S: ...

    @overload
    def __getitem__(self, index: int) -> Module: ...

    def __getitem__(self: S, index: int | slice) -> S | Module:
        if isinstance(index, slice):
            return self._of(list(self._modules.items())[index])
        modules = list(self)
        return modules[_position(self, index, len(modules))]

    def __setitem__(self, index: int, module: Module) -> None:
        names = list(self._modules)
        self.add_module(names[_position(self, index, len(names))], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        if isinstance(index, slice):
            del modules[index]
        else:
            del modules[_position(self, index, len(modules))]
        self._set(modules)

    def __iadd__(self: S, modules: Iterable[Module]) -> S:
        return self.extend(modules)

    def __add__(self: S, other: Iterable[Module]) -> S:
        return self._of((str(position), module) for position, module in enumerate(chain(self, other)))

    def append(self: S, module: Module) -> S:
        """Add a module at the end, and return the container."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self: S, modules: Iterable[Module]) -> S:
        """Add several modules at the end, and return the container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self: S, index: int, module: Module) -> S:
        """Add a module before the position `index`, and return the container."""
        modules = list(self)
        modules.insert(index, module)
        self._set(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Take a module out, and return it."""
        module: Module = self[index]
        del self[index]
        return module


class Sequential(_ModuleSequence):
    """Call modules one after the other, each on the result of the one before.

    Args:
        args: the modules; or one dictionary of them by name.

    >>> import autodiff as ad
    >>> net = ad.nn.Sequential(ad.nn.Linear(2, 3), ad.nn.ReLU(), ad.nn.Linear(3, 1))
    >>> net(ad.ones(5, 2)).shape
    (5, 1)
    >>> net[:2]
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def _of(self, modules: Iterable[tuple[str, Module | None]]) -> Any:
        result = Sequential()
        for name, module in modules:
            result._register(result._modules, name, module)
        return result

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


class ModuleList(_ModuleSequence):
    """A list of modules whose parameters count as the owner's. It is not called itself.

    Args:
        modules: to begin with.

    >>> import autodiff as ad
    >>> layers = ad.nn.ModuleList([ad.nn.Linear(2, 2) for _ in range(3)])
    >>> x = ad.ones(1, 2)
    >>> for layer in layers:
    ...     x = layer(x)
    >>> x.shape, len(list(layers.parameters()))
    ((1, 2), 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def _of(self, modules: Iterable[tuple[str, Module | None]]) -> Any:
        result = ModuleList()
        for position, (_, module) in enumerate(modules):
            result._register(result._modules, str(position), module)
        return result

    def add_module(self, name: str, module: Module | None) -> None:
        super().add_module(name, module)
        if module is not None:
            module._relabel(f"{self._label}.{name}")

    def __repr__(self) -> str:
        # Neighbours that print alike are printed once.
        groups = [(text, len(list(same))) for text, same in groupby(map(repr, self))]
        lines, start = [], 0
        for text, count in groups:
            title = f"({start})" if count == 1 else f"({start}-{start + count - 1}): {count} x"
            lines.append(f"{title}{':' if count == 1 else ''} {text}".replace("\n", "\n  "))
            start += count
        return "ModuleList(" + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")

    def _relabel(self, name: str) -> None:
        # The list is never called, so its children carry its name in their own.
        super()._relabel(name)
        for child, module in self._modules.items():
            if module is not None:
                module._relabel(f"{name}.{child}")


class ModuleDict(Module):
    """A dictionary of modules whose parameters count as the owner's. It is not called itself.

    Args:
        modules: mapping, or pairs of names and modules, to begin with.

    >>> import autodiff as ad
    >>> choices = ad.nn.ModuleDict({"linear": ad.nn.Linear(2, 3), "none": ad.nn.Identity()})
    >>> choices["linear"](ad.ones(1, 2)).shape, list(choices)
    ((1, 3), ['linear', 'none'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or ())

    def add_module(self, name: str, module: Module | None) -> None:
        # Names such as "keys" are the dictionary's own methods: they stand in the table only.
        if hasattr(type(self), name):
            self._modules[name] = module
        else:
            super().add_module(name, module)
        if module is not None:
            module._relabel(f"{self._label}.{name}")

    def _relabel(self, name: str) -> None:
        super()._relabel(name)
        for child, module in self._modules.items():
            if module is not None:
                module._relabel(f"{name}.{child}")

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]
        self.__dict__.pop(key, None)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        for key in list(self):
            del self[key]

    def pop(self, key: str) -> Module:
        """Take a module out, and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Return the pairs of names and modules."""
        return self._modules.items()  # type: ignore[return-value]

    def values(self) -> Iterable[Module]:
        """Return the modules."""
        return self._modules.values()  # type: ignore[return-value]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, replacing those of the same name."""
        pairs = modules.items() if isinstance(modules, Mapping | ModuleDict) else modules
        for key, module in pairs:
            self[key] = module


def _as_parameter(owner: Module, value: Any) -> Parameter:
    """Return a parameter; a tensor becomes one.

    Raises:
        DTypeError: for anything else.
    """
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Tensor):
        return Parameter(value)
    raise DTypeError(type(owner).__name__, "only parameters and tensors can be put in", got=type(value).__name__)


class ParameterList(Module):
    """A list of parameters that count as the owner's.

    Args:
        values: parameters, or tensors that become some, to begin with.

    >>> import autodiff as ad
    >>> factors = ad.nn.ParameterList([ad.ones(2), ad.ones(3)])
    >>> len(factors), factors[1].shape
    (2, (3,))
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())  # type: ignore[arg-type]

    @overload
    def __getitem__(self, index: slice) -> ParameterList: ...

    @overload
    def __getitem__(self, index: int) -> Parameter: ...

    def __getitem__(self, index: int | slice) -> Parameter | ParameterList:
        values = list(self)
        return ParameterList(values[index]) if isinstance(index, slice) else values[_position(self, index, len(values))]

    def __setitem__(self, index: int, value: Tensor) -> None:
        self.register_parameter(str(_position(self, index, len(self))), _as_parameter(self, value))

    def __iadd__(self, values: Iterable[Tensor]) -> ParameterList:
        return self.extend(values)

    def append(self, value: Tensor) -> ParameterList:
        """Add a parameter at the end, and return the list."""
        self.register_parameter(str(len(self)), _as_parameter(self, value))
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Add several parameters at the end, and return the list."""
        for value in list(values):
            self.append(value)
        return self

    def __repr__(self) -> str:
        return _listing(self)


class ParameterDict(Module):
    """A dictionary of parameters that count as the owner's.

    Args:
        parameters: mapping, or pairs of names and parameters (or tensors that become some), to begin with.

    >>> import autodiff as ad
    >>> factors = ad.nn.ParameterDict({"left": ad.ones(2)})
    >>> factors["left"].requires_grad
    True
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None = None) -> None:
        super().__init__()
        self.update(parameters or ())

    def __getitem__(self, key: str) -> Parameter:
        return self._parameters[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, value: Tensor) -> None:
        if hasattr(type(self), key):
            self._parameters[key] = _as_parameter(self, value)
        else:
            self.register_parameter(key, _as_parameter(self, value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]
        self.__dict__.pop(key, None)

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: object) -> bool:
        return key in self._parameters

    def get(self, key: str, default: Any = None) -> Any:
        """Return a parameter, or `default`."""
        return self._parameters.get(key, default)

    def pop(self, key: str) -> Parameter:
        """Take a parameter out, and return it."""
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        """Take all parameters out."""
        for key in list(self):
            del self[key]

    def keys(self) -> Iterable[str]:
        """Return the names."""
        return self._parameters.keys()

    def items(self) -> Iterable[tuple[str, Parameter]]:
        """Return the pairs of names and parameters."""
        return self._parameters.items()  # type: ignore[return-value]

    def values(self) -> Iterable[Parameter]:
        """Return the parameters."""
        return self._parameters.values()  # type: ignore[return-value]

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Add parameters, replacing those of the same name."""
        pairs = parameters.items() if isinstance(parameters, Mapping | ParameterDict) else parameters
        for key, value in pairs:
            self[key] = value

    def __repr__(self) -> str:
        return _listing(self)


def _listing(owner: ParameterList | ParameterDict) -> str:
    lines = [f"({name}): Parameter of {value.spec!r}" for name, value in owner._parameters.items() if value is not None]
    return f"{type(owner).__name__}(" + "".join(f"\n  {line}" for line in lines) + ("\n)" if lines else ")")
