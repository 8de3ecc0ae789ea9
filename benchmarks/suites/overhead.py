"""Suite `overhead`: what an operation costs when its numbers cost nothing, as nanoseconds an operation.

A call does the same thing a hundred times; the chains to be differentiated are a hundred operations long, those for the
backward pass alone a thousand. In ``forward``, ``index``, ``view`` and ``create`` JAX runs op by op; in
``forward+backward`` and ``update`` it is compiled as a whole, which is how it is used there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import (
    Build,
    Draw,
    Inputs,
    Run,
    backward,
    draw,
    forward,
    forward_backward,
    forward_backward_jax,
    forward_numpy,
    full,
    integers,
    name_outputs,
    normal,
    uniform,
)
from benchmarks.suites.kernels import updates

COUNT = 100
LONG = 1000  # operations in the long chains

# ---- The work, once for every library --------------------------------------------------------------------------------


def add(module: Any, x: Any, y: Any, count: int = COUNT) -> Any:
    for _ in range(count):
        x = x + y
    return x


def add_number(module: Any, x: Any, count: int = COUNT) -> Any:
    for _ in range(count):
        x = x + 0.5
    return x


def multiply(module: Any, x: Any, y: Any, count: int = COUNT) -> Any:
    for _ in range(count):
        x = x * y
    return x


def tanh(module: Any, x: Any, count: int = COUNT) -> Any:
    for _ in range(count):
        x = module.tanh(x)
    return x


def matmul(module: Any, x: Any, y: Any, count: int = COUNT) -> Any:
    for _ in range(count):
        x = x @ y
    return x


def broadcast(module: Any, x: Any, y: Any, count: int = COUNT) -> Any:
    """Add a row to a matrix again and again."""
    for _ in range(count):
        x = x + y
    return x


def total(module: Any, x: Any, count: int = COUNT) -> Any:
    """Add the mean of all elements to each."""
    for _ in range(count // 2):
        x = x + x.mean()
    return x


def compare(module: Any, x: Any, y: Any) -> Any:
    for _ in range(COUNT):
        found = x > y
    return found


def add_in_place(module: Any, x: Any, y: Any) -> Any:
    """Add zeros, so that the result is the same in every call."""
    for _ in range(COUNT):
        x.add_(y)
    return x


def cast(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.to(module.float64)
    return found


def enter_no_grad(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        with module.no_grad():
            pass
    return x


def to_number(module: Any, x: Any) -> Any:
    """Read a number out of a tensor."""
    for _ in range(COUNT):
        found = x.item()
    return module.tensor(found)


def to_numpy(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.numpy()
    return module.tensor(found)


def index_number(module: Any, x: Any, rows: Any) -> Any:
    for _ in range(COUNT):
        found = x[2]
    return found


def index_column(module: Any, x: Any, rows: Any) -> Any:
    for _ in range(COUNT):
        found = x[:, 1]
    return found


def index_slice(module: Any, x: Any, rows: Any) -> Any:
    for _ in range(COUNT):
        found = x[1:3]
    return found


def index_rows(module: Any, x: Any, rows: Any) -> Any:
    for _ in range(COUNT):
        found = x[rows]
    return found


def index_mask(module: Any, x: Any, rows: Any) -> Any:
    """Make a mask and pick by it, COUNT operations in all."""
    for _ in range(COUNT // 2):
        found = x[x > 0]
    return found


def set_item(module: Any, x: Any, rows: Any) -> Any:
    for _ in range(COUNT):
        x[2] = 1.0
    return x


def reshape(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.reshape(8, 2)
    return found


def transpose(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.T
    return found


def unsqueeze(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x[None]
    return found


def permute(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.permute(1, 0)
    return found


def expand(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.expand(3, 4, 4)
    return found


def detach(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = x.detach()
    return found


def create_zeros(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = module.zeros(8)
    return found


def create_ones_like(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = module.ones_like(x)
    return found


def create_arange(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = module.arange(8)
    return found


def create_from_list(module: Any, x: Any) -> Any:
    for _ in range(COUNT):
        found = module.tensor([1.0, 2.0, 3.0, 4.0])
    return found


def create_from_array(module: Any, array: Any) -> Any:
    for _ in range(COUNT):
        found = module.from_numpy(array)
    return found


def add_leaves(module: Any, *leaves: Any) -> Any:
    """Add up many leaves, each of which gets a gradient."""
    x = leaves[0]
    for y in leaves[1:]:
        x = x + y
    return x


# ---- Builds ----------------------------------------------------------------------------------------------------------


def op_by_op(jax: Any, function: Callable[..., Any], inputs: Inputs) -> Run:
    """Build work that JAX runs one operation after the other, nothing of it compiled together."""
    arguments = [jax.device_put(array) for array in draw(inputs).values()]
    return lambda: name_outputs(function(jax.numpy, *arguments))


def in_jax(jax: Any, *arguments: Any, function: Callable[..., Any]) -> Any:
    """Call a function that wants the module of arrays."""
    return function(jax.numpy, *arguments)


def from_array(module: Any, inputs: Inputs) -> Run:
    """Build tensors on the memory of a NumPy array."""
    (array,) = draw(inputs).values()
    return lambda: name_outputs(create_from_array(module, array))


def layer(module: Any, kind: str, gradients: bool) -> Run:
    """Build calls of a module, each on the result of the last; forward alone or with the backward of all."""
    nn = module.nn
    model = {
        "identity": lambda: nn.Identity(),
        "linear": lambda: nn.Linear(8, 8),
        "sequential": lambda: nn.Sequential(*(layer for _ in range(5) for layer in (nn.Linear(8, 8), nn.Tanh()))),
        "layer_norm": lambda: nn.LayerNorm(8),
    }[kind]()
    shapes = {name: normal(*value.shape, scale=0.3) for name, value in model.state_dict().items()}
    model.load_state_dict({name: module.tensor(value) for name, value in draw(shapes).items()})
    x, g = (module.tensor(value) for value in draw({"x": normal(4, 8), "g": normal(4, 8)}).values())
    calls = COUNT // 10 if kind == "sequential" else COUNT

    def run() -> dict[str, Any]:
        y = x
        for _ in range(calls):
            y = model(y)
        if not gradients:
            return {"output": y}
        model.zero_grad()
        y.backward(g)
        return {"output": y, **{name: parameter.grad for name, parameter in model.named_parameters()}}

    return run


def zero_grad(module: Any) -> Run:
    """Build the removal of gradients from the parameters of an optimizer, after they were put there."""
    parameters = [module.nn.Parameter(module.tensor(value)) for value in updates.values(tiny_parameters())[0]]
    optimizer = module.optim.SGD(parameters, lr=0.1)
    gradient = module.tensor([0.0] * 8)

    def run() -> list[Any]:
        for parameter in parameters:
            parameter.grad = gradient
        optimizer.zero_grad()
        return parameters

    return run


def tiny_parameters() -> updates.Shapes:
    """Return the shapes of many parameters of eight numbers."""
    return [(8,)] * COUNT


# ---- Cases -----------------------------------------------------------------------------------------------------------

EIGHT: Inputs = {"x": normal(8), "y": normal(8)}
MATRICES: Inputs = {"x": normal(4, 4), "y": normal(4, 4, scale=0.5)}
CHAINS: dict[str, tuple[Callable[..., Any], Inputs]] = {
    "add": (add, EIGHT),
    "add-number": (add_number, {"x": normal(8)}),
    "multiply": (multiply, {"x": normal(8), "y": uniform(8, low=0.99, high=1.01)}),
    "tanh": (tanh, {"x": normal(8)}),
    "matmul": (matmul, MATRICES),
    "add-row": (broadcast, {"x": normal(4, 4), "y": normal(4)}),
    "mean": (total, {"x": normal(8, scale=1e-9)}),
}


def row(name: str, builds: dict[str, Build], quick: bool = False, count: int = COUNT) -> Case:
    """Return a case of this suite."""
    return Case(f"overhead/{name}", builds, tolerance=1e-4, quick=quick, count=count)


def eager(function: Callable[..., Any], inputs: Inputs, arrays: bool = True) -> dict[str, Build]:
    """Return builds of work that is not differentiated; with `arrays`, JAX and NumPy do it in the same words."""
    own = partial(forward, function=function, inputs=inputs)
    table: dict[str, Build] = {"autodiff": own, "torch": own}
    if arrays:
        table["jax"] = partial(op_by_op, function=function, inputs=inputs)
        table["numpy"] = partial(forward_numpy, function=function, inputs=inputs)
    return table


def chains() -> Iterator[Case]:
    """Yield chains of operations: without and with recording, with the backward pass, and the latter alone."""
    for name, (function, inputs) in CHAINS.items():
        yield row(f"forward/{name}", eager(function, inputs), quick=name == "add")
    for name, (function, inputs) in CHAINS.items():
        own: Build = partial(forward, function=function, inputs=inputs, wrt=("x",))
        yield row(f"recorded/{name}", {"autodiff": own, "torch": own}, quick=name == "add")
    for name, (function, inputs) in CHAINS.items():
        own = partial(forward_backward, function=function, inputs=inputs)
        compiled = partial(forward_backward_jax, function=partial(in_jax, function=function), inputs=inputs)
        table = {"autodiff": own, "torch": own, "jax": compiled}
        yield row(f"forward+backward/{name}", table, quick=name == "tanh")
    for name in ("add", "multiply", "tanh"):
        function, inputs = CHAINS[name]
        own = partial(backward, function=partial(function, count=LONG), inputs=inputs)
        yield row(f"backward/{name}-{LONG}", {"autodiff": own, "torch": own}, quick=name == "add", count=LONG)
    leaves: dict[str, Draw] = {f"x{position}": normal(8) for position in range(COUNT)}
    own = partial(forward_backward, function=add_leaves, inputs=leaves)
    compiled = partial(forward_backward_jax, function=add_leaves, inputs=leaves)
    yield row("forward+backward/leaves", {"autodiff": own, "torch": own, "jax": compiled})


def single_operations() -> Iterator[Case]:
    """Yield operations that are not differentiated, views, indexing and new tensors."""
    yield row("forward/compare", eager(compare, EIGHT))
    yield row("forward/add-in-place", eager(add_in_place, {"x": normal(8), "y": full(0, 8)}, arrays=False))
    yield row("forward/cast", eager(cast, {"x": normal(8)}, arrays=False))
    yield row("forward/no_grad", eager(enter_no_grad, {"x": normal(8)}, arrays=False))
    yield row("read/item", eager(to_number, {"x": normal(1)}, arrays=False), quick=True)
    yield row("read/numpy", eager(to_numpy, {"x": normal(8)}, arrays=False))
    picked: Inputs = {"x": normal(4, 4), "rows": integers(4, 3)}
    for function in (index_number, index_column, index_slice, index_rows, index_mask):
        name = function.__name__.replace("index_", "index/")
        yield row(name, eager(function, picked), quick=function is index_column)
    yield row("index/set", eager(set_item, picked, arrays=False))
    for function in (reshape, transpose, unsqueeze):
        yield row(f"view/{function.__name__}", eager(function, {"x": normal(4, 4)}), quick=function is reshape)
    for function in (permute, expand, detach):
        yield row(f"view/{function.__name__}", eager(function, {"x": normal(4, 4)}, arrays=False))
    for function in (create_zeros, create_ones_like, create_arange, create_from_list):
        name = function.__name__.replace("create_", "create/")
        yield row(name, eager(function, {"x": normal(8)}, function is not create_from_list), function is create_zeros)
    own = partial(from_array, inputs={"array": normal(8)})
    yield row("create/from_array", {"autodiff": own, "torch": own})


def modules_and_optimizers() -> Iterator[Case]:
    """Yield calls of modules, and steps over many tiny parameters."""
    for kind in ("identity", "linear", "sequential", "layer_norm"):
        own: Build = partial(layer, kind=kind, gradients=False)
        yield row(f"module/{kind}/forward", {"autodiff": own, "torch": own}, quick=kind == "linear")
        if kind != "identity":
            own = partial(layer, kind=kind, gradients=True)
            yield row(f"module/{kind}/forward+backward", {"autodiff": own, "torch": own})
    for optimizer in ("sgd", "adam", "rmsprop"):
        yield row(f"update/{optimizer}", updates.builds(optimizer, tiny_parameters), quick=optimizer == "adam")
    yield row("update/zero_grad", {"autodiff": zero_grad, "torch": zero_grad})


def cases() -> Iterator[Case]:
    """Yield the cases."""
    yield from chains()
    yield from single_operations()
    yield from modules_and_optimizers()
