"""Which instructions are put together, on lists of instructions made by hand."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import autodiff as ad
from autodiff.bind import bind
from autodiff.compiler import fusion
from autodiff.compiler.fusion import Chain, Followed, chains
from autodiff.primitive import OPERATIONS
from autodiff.spec import Spec


class Value:
    """A tensor of a program; a view when it lies in the region of another."""

    def __init__(self, name: str, spec: Spec, region: Any = None) -> None:
        self.name = name
        self.spec = spec
        self.region = self if region is None else region

    def __repr__(self) -> str:
        return self.name


class Instruction:
    """An operation on values."""

    def __init__(self, name: str, inputs: list[Value], outputs: list[Value], in_place: bool, **params: Any) -> None:
        self.primitive: Any = OPERATIONS[name]
        self.params = params
        self.inputs = inputs
        self.outputs = outputs
        self.in_place = in_place

    def __repr__(self) -> str:
        return f"{self.primitive.name}{self.inputs}"


class Program:
    """A list of instructions that grows."""

    def __init__(self) -> None:
        self.list: list[Any] = []

    def input(self, *shape: int, order: tuple[int, ...] | None = None) -> Value:
        return Value("x", Spec.of(shape or (50, 40), order=order))

    def do(self, name: str, *inputs: Value, into: Value | None = None, **params: Any) -> Value:
        primitive: Any = OPERATIONS[name]
        out = into or Value(f"v{len(self.list)}", primitive.infer(*[x.spec for x in inputs], **params))
        self.list.append(Instruction(name, list(inputs), [out], into is not None, **params))
        return out

    def names(self, *needed: Value) -> list[Any]:
        """What runs: names of operations, a tuple for a chain."""
        return [
            tuple(part.primitive.name for part in item.instructions) if isinstance(item, Chain | Followed)
            else item.primitive.name
            for item in chains(self.list, [value.region for value in needed])
        ]

    def only(self, *needed: Value) -> Chain:
        (chain,) = chains(self.list, [value.region for value in needed])
        assert isinstance(chain, Chain)
        return chain


SUM = {"dims": (0, 1), "keepdim": False}


def test_a_result_that_nobody_else_reads_vanishes() -> None:
    p = Program()
    x, y, bias = p.input(), p.input(), p.input(40)
    z = p.do("relu", p.do("add", p.do("mul", x, y), bias))
    chain = p.only(z)
    assert chain.steps == (("mul", (), (0, 1)), ("add", (), (3, 2)), ("relu", (), (4,)))
    assert chain.inputs == (x, y, bias)
    assert (chain.outputs, chain.results) == ((z,), (2,))


def test_a_result_that_others_read_is_an_output() -> None:
    p = Program()
    x = p.input()
    y = p.do("tanh", x)
    z = p.do("mul", y, y)
    total = p.do("sum", y, **SUM)
    chain, last = chains(p.list, [z, total])
    assert isinstance(chain, Chain)
    assert (chain.outputs, chain.results) == ((y, z), (0, 1))
    assert last is p.list[-1]


def test_a_result_that_is_needed_later_is_an_output() -> None:
    p = Program()
    y = p.do("tanh", p.input())
    z = p.do("neg", y)
    assert p.only(y, z).results == (0, 1)
    assert p.only(z).results == (1,)


def test_what_nobody_needs_is_left_out() -> None:
    p = Program()
    p.do("neg", p.do("tanh", p.input()))
    assert p.names() == []


def test_dtypes_may_differ_and_parameters_are_kept() -> None:
    p = Program()
    x = p.input()
    mask = p.do("gt", x, p.input())
    number = p.do("copy", mask, dtype=np.dtype(np.float32), order=None)
    chain = p.only(p.do("mul", number, x))
    assert [step[0] for step in chain.steps] == ["gt", "copy", "mul"]
    assert dict(chain.steps[1][1]) == {"dtype": np.dtype(np.float32), "order": None}


def test_an_operation_that_is_not_element_wise_stays_between() -> None:
    p = Program()
    y = p.do("neg", p.input())
    total = p.do("sum", y, **SUM)
    z = p.do("mul", p.do("relu", y), total)
    # relu moves to neg; mul needs the sum, which needs neg.
    assert p.names(z) == [("neg", "relu"), "sum", "mul"]
    q = Program()
    y = q.do("neg", q.input())
    q.do("sum", q.input(), **SUM)
    assert q.names(q.do("relu", y)) == ["sum", ("neg", "relu")]


def test_shapes_and_layouts_are_not_mixed() -> None:
    p = Program()
    small = p.do("exp", p.input(1, 400))
    assert p.names(p.do("mul", small, p.input(50, 400))) == ["exp", "mul"]
    q = Program()
    image = q.do("relu", q.input(2, 8, 9, 9))
    last = q.do("copy", image, dtype=None, order=(0, 2, 3, 1))
    assert q.names(q.do("neg", last)) == ["relu", "copy", "neg"]


def test_tiny_tensors_are_left_alone() -> None:
    p = Program()
    assert p.names(p.do("neg", p.do("neg", p.input(3)))) == ["neg", "neg"]


def test_two_that_read_the_same_run_as_one() -> None:
    p = Program()
    g = p.input()
    one, other = p.do("mul", g, p.input()), p.do("mul", g, p.input())
    assert p.only(one, other).results == (0, 1)
    q = Program()
    assert q.names(q.do("neg", q.input()), q.do("neg", q.input())) == ["neg", "neg"]


def test_two_chains_meet() -> None:
    p = Program()
    x = p.do("tanh", p.do("neg", p.input()))
    y = p.do("exp", p.do("abs", p.input()))
    assert p.names(p.do("mul", x, y)) == [("neg", "tanh", "abs", "exp", "mul")]


def test_nothing_moves_over_a_write_to_what_it_reads() -> None:
    p = Program()
    x, weight = p.input(), p.input()
    y = p.do("mul", x, weight)
    p.do("cumsum", x, into=weight, dim=0, reverse=False)
    z = p.do("mul", y, weight)
    # The first product must not move down, nor the second one up.
    assert p.names(z, weight) == ["mul", "cumsum", "mul"]


def test_steps_in_place() -> None:
    p = Program()
    x = p.input()
    y = p.do("neg", x)
    p.do("add", y, x, into=y)
    z = p.do("relu", y)
    assert p.only(z).steps == (("neg", (), (0,)), ("add", (), (1, 0)), ("relu", (), (2,)))
    assert (p.only(z).outputs, p.only(z).results) == ((z,), (2,))
    assert (p.only(y, z).outputs, p.only(y, z).results) == ((y, z), (1, 2))


def test_what_is_written_in_memory_from_before_is_an_output_where_it_is_needed() -> None:
    p = Program()
    x, y = p.input(), p.input()
    old = p.do("neg", x)
    p.do("mul", x, y, into=x)
    p.do("abs", x, into=x)
    total = p.do("add", x, old)
    chain = p.only(total, x)
    assert chain.inputs == (x, y)
    assert chain.steps == (("neg", (), (0,)), ("mul", (), (0, 1)), ("abs", (), (3,)), ("add", (), (4, 2)))
    assert (chain.outputs, chain.results) == ((x, total), (2, 3))
    assert (p.only(total).outputs, p.only(total).results) == ((total,), (3,))


def test_a_target_in_place_lies_as_a_new_result_would() -> None:
    p = Program()
    gaps = Value("gaps", Spec.strided((50, 40), np.dtype(np.float32), (80, 1)))
    p.do("neg", p.input(), into=gaps)
    assert p.names(p.do("relu", gaps)) == ["neg", "relu"]


def test_a_view_of_a_step_is_not_read_by_the_same_chain() -> None:
    p = Program()
    y = p.do("neg", p.input(40, 40))
    view = Value("view", Spec.strided((40, 40), y.spec.dtype, (1, 40)), y.region)
    same = Value("same", y.spec, y.region)
    assert p.names(p.do("relu", view), p.do("tanh", same)) == ["neg", "relu", "tanh"]


def test_limits() -> None:
    p = Program()
    x = p.input()
    for _ in range(3 * fusion.STEPS):
        x = p.do("neg", x)
    assert [len(chain) for chain in p.names(x)] == [fusion.STEPS] * 3
    p = Program()
    x = p.input()
    for _ in range(2 * fusion.OPERANDS):
        x = p.do("add", x, p.input())
    found = chains(p.list, [x])
    assert len(found) > 1
    assert all(len(chain.inputs) + len(chain.outputs) <= fusion.OPERANDS for chain in found if isinstance(chain, Chain))


def product(p: Program, m: int = 50, k: int = 30, n: int = 40) -> Value:
    return p.do("matmul", p.input(m, k), p.input(k, n))


def number() -> Value:
    return Value("number", Spec.of(()))


def test_steps_follow_a_product() -> None:
    p = Program()
    x, scale, weight, bias = p.input(), number(), p.input(40, 30), p.input(40)
    y = p.do("linear", p.input(50, 30), weight, bias)
    z = p.do("relu", p.do("add", x, p.do("mul", scale, y)))
    (found,) = chains(p.list, [z])
    assert isinstance(found, Followed)
    assert (found.first, found.steps) == (("linear", ()), ("mul", "add", "relu"))
    assert found.inputs == (*p.list[0].inputs, scale, x)
    assert found.outputs == (z,)


def test_each_step_may_be_missing() -> None:
    p = Program()
    assert p.names(p.do("tanh", product(p))) == [("matmul", "tanh")]
    p = Program()
    assert p.names(p.do("add", product(p), p.input())) == [("matmul", "add")]
    p = Program()
    assert p.names(p.do("sigmoid", p.do("mul", product(p), number()))) == [("matmul", "mul", "sigmoid")]


def test_other_steps_and_another_order_do_not_follow() -> None:
    p = Program()
    assert p.names(p.do("exp", product(p))) == ["matmul", "exp"]
    p = Program()
    assert p.names(p.do("add", p.do("relu", product(p)), p.input())) == [("matmul", "relu"), "add"]
    p = Program()
    assert p.names(p.do("mul", product(p), p.input())) == ["matmul", "mul"]
    p = Program()
    assert p.names(p.do("add", product(p), p.input(40))) == ["matmul", "add"]
    p = Program()
    assert p.names(p.do("add", p.input(order=(1, 0)), product(p))) == ["matmul", "add"]
    p = Program()
    y = product(p)
    assert p.names(p.do("add", y, y)) == ["matmul", "add"]


def test_what_lies_between_is_written_where_somebody_needs_it() -> None:
    p = Program()
    y = product(p)
    z = p.do("relu", y)
    assert p.names(y, z) == ["matmul", "relu"]
    total = p.do("sum", y, **SUM)
    assert p.names(z, total) == ["matmul", "relu", "sum"]


def test_of_two_products_the_later_one_is_added_to_the_other() -> None:
    p = Program()
    one = product(p)
    z = p.do("relu", p.do("add", one, product(p)))
    assert p.names(z) == ["matmul", ("matmul", "add", "relu")]


def test_a_product_waits_for_what_is_added_to_it() -> None:
    p = Program()
    y = product(p)
    late = p.do("cumsum", p.input(), dim=0, reverse=False)
    assert p.names(p.do("add", y, late)) == ["cumsum", ("matmul", "add")]
    p = Program()
    a, b = p.input(50, 30), p.input(30, 40)
    y = p.do("matmul", a, b)
    p.do("cumsum", a, into=b, dim=0, reverse=False)
    late = p.do("cumsum", p.input(), dim=0, reverse=False)
    # The product must not move down, for b changes, nor the sum up, for it reads what comes later.
    assert p.names(p.do("add", y, late), b) == ["matmul", "cumsum", "cumsum", "add"]


def test_steps_in_place_follow() -> None:
    p = Program()
    y = product(p)
    p.do("relu", y, into=y)
    assert p.names(y) == [("matmul", "relu")]


def test_a_product_is_added_to_memory_where_its_sums_never_lie_there() -> None:
    p = Program()
    x = p.input()
    p.do("add", x, product(p), into=x)
    assert p.names(x) == [("matmul", "add")]
    p = Program()
    p.do("add", x, product(p, k=1000), into=x)
    assert p.names(x) == ["matmul", "add"]


def test_nothing_is_written_in_place_over_what_the_product_reads() -> None:
    p = Program()
    x = p.input(40, 40)
    p.do("add", x, p.do("matmul", x, p.input(40, 40)), into=x)
    assert p.names(x) == ["matmul", "add"]
    p = Program()
    view = Value("view", Spec.of((30, 40)), x.region)
    target = Value("target", Spec.of((50, 40)), x.region)
    p.do("add", target, p.do("matmul", p.input(50, 30), view), into=target)
    assert p.names(target) == ["matmul", "add"]


def test_a_view_of_the_product_is_not_added_to_it() -> None:
    p = Program()
    y = product(p)
    assert p.names(p.do("add", y, Value("same", y.spec, y.region))) == ["matmul", "add"]


def test_random_programs_compute_the_same() -> None:
    generator = random.Random(0)
    joined = 0
    for _ in range(40):
        p = Program()
        values = [p.input(20, 20) for _ in range(3)] + [p.input(20), number()]
        for _ in range(generator.randint(2, 14)):
            full = [value for value in values if value.spec.shape == (20, 20)]
            what = generator.randrange(10)
            if what == 0:
                values.append(p.do("sum", generator.choice(full), **SUM))
            elif what == 1:
                target = generator.choice(full)
                p.do(generator.choice(("maximum", "add")), target, generator.choice(full), into=target)
            elif what < 4:
                values.append(p.do(generator.choice(("neg", "relu", "abs")), generator.choice(full)))
            elif what < 7:
                y = p.do("matmul", generator.choice(full), generator.choice(full))
                step = (y,) if what == 4 else (p.do("relu", y),) if what == 5 else (p.do("add", full[0], y),)
                values.extend(step)
            else:
                name = generator.choice(("sub", "maximum", "add", "mul"))
                values.append(p.do(name, generator.choice(full), generator.choice(values)))
        needed = [value for value in values if generator.randrange(3) == 0] + values[:5]
        found = chains(p.list, needed)
        joined += sum(isinstance(item, Followed) for item in found)
        plain, fused = compute(p.list, values[:5]), compute(found, values[:5])
        for value in needed:
            np.testing.assert_array_equal(plain[value], fused[value])
    assert joined > 10


def compute(items: list[Any], inputs: list[Value]) -> dict[Value, Any]:
    """Run a program on numbers."""
    rng = np.random.default_rng(0)
    memory = {value: np.asarray(rng.integers(-9, 9, value.spec.shape) / 32, np.float32) for value in inputs}
    for item in items:
        operands = [ad.from_numpy(memory[value]) for value in item.inputs]
        whole = isinstance(item, Chain | Followed)
        primitive, params = item.operation if whole else (item.primitive, item.params)
        found = bind(primitive, *operands, **params)
        for value, result in zip(item.outputs, found if isinstance(found, tuple) else (found,), strict=True):
            if not whole and item.in_place:
                memory[value][...] = result.numpy()
            else:
                memory[value] = result.numpy()
    return memory
