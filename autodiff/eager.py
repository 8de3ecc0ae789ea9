"""`Tensor`: a NumPy array that remembers how it was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, SupportsIndex
from weakref import ref

import numpy as np

from autodiff import ops, reverse
from autodiff.bind import Cut, refresh
from autodiff.conversion import Conversions
from autodiff.errors import DTypeError, GradientError, ShapeError
from autodiff.methods import Methods
from autodiff.program import Memory, Program, Record, tensor_class
from autodiff.representation import text_of
from autodiff.slots import CHANGES
from autodiff.source import here
from autodiff.spec import Array, DType, Shape, Spec, spec_of
from autodiff.thread_mode import MODE

FLOAT32 = np.dtype(np.float32)
_grad = attrgetter("_grad")
SUPPORTED = tuple(np.dtype(name) for name in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"))


class Tensor(Methods, Conversions):
    """An array of numbers that takes part in automatic differentiation.

    Make one with `autodiff.tensor`, `autodiff.zeros` and the like. ``Tensor(data)`` copies `data` into float32;
    ``Tensor(2, 3)`` is uninitialised memory of that shape.

    Args:
        data: numbers, nested sequences, an array or a tensor; or sizes.

    Attributes:
        grad: gradient that `backward` collected here; None before. Same shape and dtype.
        name: shown in graphs and errors; parameters of a module carry their path.

    Shape, dtype and methods are PyTorch's. Where the engine keeps its own state:

    Attributes:
        array: the NumPy array.
        spec: shape, dtype and strides.
        memory: version of the memory, shared with every tensor on it.
        edge: ``(record, output index)`` that made this tensor; None for a leaf.
        needs_grad: whether gradients flow here (`requires_grad`).
        base: the tensor this one is a view of; None otherwise.

    >>> import autodiff as ad
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    array: Array
    spec: Spec
    memory: Memory
    edge: Any = None
    needs_grad: bool = False
    base: Any = None
    seen: int = 0
    cut: Cut | None = None
    copied_view: bool = False
    _grad: Any = None
    name: str | None = None
    watched: bool = False  # whether a compiled program reads this tensor, and must know when it is replaced
    hooks: Any = None
    accumulate_hooks: Any = None

    # NumPy leaves operators with a tensor on the right to the tensor, and its ufuncs refuse tensors.
    __array_ufunc__ = None

    def __init__(self, *data: Any) -> None:
        if data and all(isinstance(n, int) for n in data):
            array: Array = np.empty(data, np.float32)
        else:
            array = np.array(data[0] if data else (), np.float32)
        self.array = array
        self.spec = spec_of(array)
        self.memory = Memory()

    # ---- What it is --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """Sizes of the dimensions."""
        return self.spec.shape

    @property
    def dtype(self) -> DType:
        """NumPy dtype of the elements."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.spec.ndim

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to or through this tensor; may be set on leaves."""
        self._refresh()
        return self.needs_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        self._refresh()
        return type(self.edge) is not tuple

    @property
    def grad_fn(self) -> Record | None:
        """The record of the operation that made this tensor; None for a leaf."""
        self._refresh()
        return self.edge[0] if type(self.edge) is tuple else None

    def _refresh(self) -> None:
        if self.base is not None and self.seen != self.memory.version:
            refresh(self)

    @property
    def data(self) -> Tensor:
        """The same memory without history; setting it gives this tensor another array."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if value.spec.shape != self.spec.shape and self.spec.size:
            raise ShapeError("data", "the new data has another shape", expected=str(self.shape), got=str(value.shape))
        if MODE.recorder is not None and value.memory is not self.memory:
            MODE.recorder.replaced(self, value)
        self.array = value.array
        self.spec = value.spec
        self.memory = value.memory
        self.memory.shared = True
        if self.watched:
            CHANGES.note(self, f"{self.name or 'a tensor'} was given other data")

    # ---- Gradients ---------------------------------------------------------------------------------------------------

    @property
    def grad(self) -> Any:
        """The gradient that `backward` collected here; None before."""
        if MODE.recorder is not None:
            MODE.recorder.grad_read(self)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise DTypeError("grad", "a gradient is a tensor or None", got=type(value).__name__)
            if value.spec.shape != self.spec.shape:
                raise ShapeError("grad", "the gradient has another shape than its tensor",
                                 expected=str(self.shape), got=str(value.shape))  # fmt: skip
            if value.spec.dtype is not self.spec.dtype and value.spec.dtype != self.spec.dtype:
                raise DTypeError("grad", "the gradient has another dtype than its tensor", expected=str(self.dtype),
                                 got=str(value.dtype), fix="convert it with to(x.dtype)")  # fmt: skip
        if MODE.recorder is not None:
            MODE.recorder.grad_set(self)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether gradients are wanted for this leaf, and return it.

        Raises:
            DTypeError: if the tensor does not hold floats.
            GradientError: if it is no leaf.
        """
        if requires_grad and not self.spec.floating:
            raise DTypeError(
                "requires_grad",
                "only tensors of floats can require a gradient",
                expected="float32 or float64",
                got=self.dtype.name,
                fix="convert it with x.float()",
            )
        if not self.is_leaf and requires_grad != self.needs_grad:
            raise GradientError(
                "requires_grad",
                "only a leaf can change whether it requires a gradient",
                fix="use x.detach() to go on without its history",
            )
        if self.watched and self.needs_grad != bool(requires_grad):
            CHANGES.switch(self, "needs_grad",
                           f"requires_grad of {self.name or 'a tensor'} became {bool(requires_grad)}")
        self.needs_grad = bool(requires_grad)
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Iterable[Tensor] | None = None,
    ) -> None:
        """Propagate back from this tensor and add to the `.grad` of the leaves that it depends on.

        Args:
            gradient: cotangent of this tensor, of its shape; 1 by default, for a tensor of one element.
            retain_graph: keep the saved tensors, so that `backward` can run again.
            create_graph: record the backward pass, so that the gradients can be differentiated.
            inputs: tensor or tensors to collect gradients for; all leaves that are reached by default.

        Raises:
            GradientError: if nothing here requires a gradient, if `gradient` is missing for several elements, if
                `inputs` is empty, or if saved tensors were freed by an earlier backward.
            DTypeError: for something that is no tensor.
            InPlaceError: if a saved tensor was changed in place.

        >>> import autodiff as ad
        >>> x = ad.tensor(3.0, requires_grad=True)
        >>> (x ** 2).backward()
        >>> x.grad
        tensor(6.)
        """
        seed = cotangent_of(self, gradient, "backward")
        targets = None if inputs is None else tensors_of("backward", "an input", inputs)
        keep = create_graph if retain_graph is None else retain_graph
        reverse.backward((self,), (seed,), targets, create_graph=create_graph, retain_graph=keep)

    def detach(self) -> Tensor:
        """Return a tensor on the same memory that is cut off from this one's history."""
        result = wrap(self.array, self.spec, self.memory)
        self.memory.shared = True
        if self.needs_grad or self.cut is not None:
            result.cut = self.cut or Cut("it was cut by detach()", here())
        if MODE.recorder is not None:
            MODE.recorder.alias(result, MODE.recorder.operand(self))
        return result

    def detach_(self) -> Tensor:
        """Cut this tensor off from its history, and return it."""
        self.edge = None
        self.needs_grad = False
        return self

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook(gradient)` when the gradient of this tensor is known; what it returns, if anything, replaces it.

        Returns:
            A handle with a `remove()` method.

        Raises:
            GradientError: if the tensor requires no gradient.
        """
        if not self.requires_grad:
            raise GradientError("register_hook", "the tensor requires no gradient, so the hook would never run")
        return self._hooked(self._gradient_hooks(), hook)

    def _gradient_hooks(self) -> list[Any]:
        if type(self.edge) is not tuple:
            if self.hooks is None:
                self.hooks = []
            hooks: list[Any] = self.hooks
        else:
            record, index = self.edge
            if record.hooks is None:
                record.hooks = {}
            hooks = record.hooks.setdefault(index, [])
        return hooks

    def _hooked(self, hooks: list[Any], hook: Callable[..., Any]) -> HookHandle:
        if MODE.recorder is not None:
            MODE.recorder.hook_registered(self)
        if self.watched:
            CHANGES.note(self, f"{self.name or 'a tensor'} was given a hook")
        last = sum(isinstance(other, _Keeper) for other in hooks)  # they keep what other hooks have made of a gradient
        hooks.insert(len(hooks) if isinstance(hook, _Keeper) else len(hooks) - last, hook)
        return HookHandle(hooks, hook, self)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> HookHandle:
        """Call `hook(tensor)` after `backward` has updated `.grad` of this leaf."""
        if self.accumulate_hooks is None:
            self.accumulate_hooks = []
        return self._hooked(self.accumulate_hooks, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor, as its hooks leave it, in `.grad` although it is no leaf."""
        if self.is_leaf:
            return
        if not any(isinstance(hook, _Keeper) and hook.owner() is self for hook in self._gradient_hooks()):
            self.register_hook(_Keeper(self))

    # ---- Python and NumPy --------------------------------------------------------------------------------------------

    def item(self) -> Any:
        """Return the only element as a Python number.

        Raises:
            ShapeError: if there is not exactly one.
        """
        if self.spec.size != 1:
            raise ShapeError(
                "item",
                "only a tensor of one element is a Python number",
                expected="1 element",
                got=str(self.shape),
                fix="reduce it first, or use tolist()",
            )
        if MODE.recorder is not None:
            MODE.recorder.asked("item", self)
        return self.array.item()

    def numpy(self, *, force: bool = False) -> Array:
        """Return the NumPy array on the same memory.

        Args:
            force: detach first if needed.

        Raises:
            GradientError: if the tensor requires a gradient, which NumPy would lose.
        """
        if self.requires_grad and not force:
            raise GradientError("numpy", "NumPy would lose this tensor's gradient", fix="write x.detach().numpy()")
        if MODE.recorder is not None:
            MODE.recorder.asked("numpy", self)
        return self.array

    def tolist(self) -> Any:
        """Return nested lists of Python numbers; a number for a tensor without dimensions."""
        if MODE.recorder is not None:
            MODE.recorder.asked("tolist", self)
        return self.array.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    def __len__(self) -> int:
        if not self.spec.shape:
            raise DTypeError("len", "a tensor without dimensions has no length")
        return self.spec.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.spec.shape:
            raise DTypeError("iter", "a tensor without dimensions cannot be iterated over")
        return iter([self[i] for i in range(self.spec.shape[0])])

    def __bool__(self) -> bool:
        if self.spec.size != 1:
            raise ShapeError(
                "bool",
                "the truth value of several elements is ambiguous",
                got=str(self.shape),
                fix="use x.any() or x.all()",
            )
        if MODE.recorder is not None:
            MODE.recorder.asked("bool", self)
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.spec.dtype.kind not in "iu":
            raise DTypeError("index", "only integer tensors of one element can be an index", got=self.dtype.name)
        return int(self.item())

    def __contains__(self, value: Any) -> bool:
        if MODE.recorder is not None:
            MODE.recorder.asked("in", self)
        return bool((self.array == (value.array if isinstance(value, Tensor) else value)).any())

    def __repr__(self) -> str:
        if MODE.recorder is not None:
            MODE.recorder.asked("print", self)
        return text_of(self)

    def __format__(self, format_spec: str) -> str:
        return format(self.item(), format_spec) if not self.spec.shape and type(self) is Tensor else repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GradientError("deepcopy", "only leaf tensors can be deep-copied", fix="copy x.detach().clone()")
        if MODE.recorder is not None:
            MODE.recorder.asked("deepcopy", self, "write x.detach().clone(), and copy modules outside")
        result = type(self).__new__(type(self))
        memo[id(self)] = result
        result.__dict__.update({key: value for key, value in self.__dict__.items() if key not in _OWN})
        result.array = self.array.copy(order="K")
        result.spec = spec_of(result.array)
        result.memory = Memory()
        result.grad = None if self.grad is None else self.grad.detach().clone()
        return result

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if not self.is_leaf:
            raise GradientError("pickle", "only leaf tensors can be pickled", fix="use x.detach()")
        if MODE.recorder is not None:
            MODE.recorder.asked("pickle", self)
        return _rebuild, (type(self), self.array, self.needs_grad, self.name)


_OWN = {"array", "spec", "memory", "_grad", "hooks", "accumulate_hooks", "base", "seen", "edge", "watched"}


def _rebuild(cls: type[Tensor], array: Array, needs_grad: bool, name: str | None) -> Tensor:
    tensor = wrap(array, cls=cls)
    tensor.needs_grad = needs_grad
    tensor.name = name
    return tensor


class HookHandle:
    """Returned when a hook is registered; `remove()` takes the hook away. Also a context manager.

    Copies of a tensor have no hooks, so a copy of its handle takes nothing away. The handle of a module's hook is
    copied with the module, and then belongs to the copy.
    """

    _hooks: Any = ()
    _hook: Any = None

    def __init__(self, hooks: list[Any], hook: Any, tensor: Tensor) -> None:
        self._hooks = hooks
        self._hook = hook
        self._tensor = ref(tensor)

    def __getstate__(self) -> Any:
        return None

    def remove(self) -> None:
        """Take the hook away; nothing happens the second time."""
        if self._hook in self._hooks:
            tensor = self._tensor()
            if tensor is not None and tensor.watched:
                CHANGES.note(tensor, f"{tensor.name or 'a tensor'} lost a hook")
            self._hooks.remove(self._hook)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def grads_of(tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the `.grad` of each tensor: over many parameters, asking the property of each takes four times as long."""
    if MODE.recorder is not None:
        return [x.grad for x in tensors]
    return list(map(_grad, tensors))


def wrap(array: Array, spec: Spec | None = None, memory: Memory | None = None, cls: type[Tensor] = Tensor) -> Tensor:
    """Return a leaf tensor on `array`, without copying."""
    tensor = cls.__new__(cls)
    tensor.array = array
    tensor.spec = spec or spec_of(array)
    tensor.memory = memory or Memory()
    if MODE.recorder is not None:
        MODE.recorder.born(tensor)
    return tensor


class _Keeper:
    """The hook of `retain_grad`."""

    def __init__(self, tensor: Tensor) -> None:
        self.owner = ref(tensor)

    def __call__(self, gradient: Tensor) -> None:
        tensor = self.owner()
        if tensor is not None:
            tensor.grad = gradient if tensor.grad is None else ops.add(tensor.grad, gradient)


def tensors_of(operation: str, what: str, given: Any) -> tuple[Tensor, ...]:
    """Return a tensor, or those of an iterable, such as the parameters of a model, as a tuple.

    Raises:
        DTypeError: for something that is no tensor.
    """
    found = (given,) if isinstance(given, Tensor) or not isinstance(given, Iterable) else tuple(given)
    for x in found:
        if not isinstance(x, Tensor):
            raise DTypeError(operation, f"{what} is no tensor", expected="a tensor, or tensors", got=type(x).__name__)
    return found


def cotangent_of(output: Tensor, gradient: Tensor | None, operation: str) -> Tensor:
    """Check what a backward pass starts from, and return its cotangent.

    Raises:
        GradientError: if `output` requires no gradient, or has several elements and no `gradient` is given.
        ShapeError: if `gradient` has another shape.
        DTypeError: if `gradient` is no tensor.
    """
    if not output.requires_grad:
        why = f"; {output.cut.reason} at {output.cut.line}" if output.cut else ""
        raise GradientError(
            operation,
            "this tensor requires no gradient and no operation leads from it to one that does" + why,
            fix="check that the parameters have requires_grad=True and that nothing between them and the "
            "loss uses detach(), no_grad(), an integer dtype or NumPy",
        )
    if gradient is None:
        if output.spec.size != 1:
            raise GradientError(
                operation,
                "a gradient starts from a tensor of one element unless a cotangent is given",
                expected="one element",
                got=str(output.shape),
                fix="reduce it first (loss.mean()), or pass gradient=, a tensor of its shape",
            )
        return wrap(np.ones(output.spec.shape, output.spec.dtype))
    if not isinstance(gradient, Tensor):
        raise DTypeError(operation, "the cotangent is no tensor", expected="a tensor", got=type(gradient).__name__,
                         fix="wrap it with autodiff.tensor(...)")
    if gradient.spec.shape != output.spec.shape:
        raise ShapeError(
            operation,
            "the cotangent has another shape than the tensor",
            expected=str(output.shape),
            got=str(gradient.shape),
        )
    return gradient


def tape_of(*tensors: Tensor) -> Program:
    """Return the program that made the given tensors: all records they reach, in order."""
    return Program.reaching([tensor.edge for tensor in tensors])


tensor_class[0] = Tensor
