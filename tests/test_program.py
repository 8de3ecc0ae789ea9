"""What a program can be asked: whether it does the same as another, in what they differ, how much memory it takes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autodiff as ad
from autodiff import nn
from autodiff.program import Program, common_scope

ROOT = Path(__file__).resolve().parent.parent


def of(function: Callable[..., Any]) -> Program:
    """Record a function of two equal tensors with four elements each."""
    return ad.record(function, ad.ones(4), ad.ones(4))


def lines(program: Program, other: Program) -> list[str]:
    """Return the difference without types, modules and places."""
    return [line.partition("  #")[0].replace(": float32[4]", "") for line in program.diff(other).splitlines()]


# ---- The same or not -------------------------------------------------------------------------------------------------


def test_names_lines_scopes_and_numbers_of_records_do_not_count() -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.exp() * 2

    x, y = ad.ones(2), ad.ones(2)
    y.name = "y"
    program, other = ad.record(lambda: x.exp() * 2), ad.record(Net(), y)
    assert str(program) != str(other)
    assert program.structural_hash() == other.structural_hash()
    assert program.diff(other) == ""


DIFFERENT: dict[str, Callable[..., Any]] = {
    "the operation": lambda x, y: (x * y).sinh().sum(),
    "a parameter": lambda x, y: (x * y).exp().sum(0, keepdim=True),
    "the wiring": lambda x, y: (x * x).exp().sum(),
    "a number": lambda x, y: (x * 2).exp().sum(),
    "another number": lambda x, y: (x * 3).exp().sum(),
    "a type": lambda x, y: (x * y).double().exp().sum(),
    "a shape": lambda x, y: (x[:2] * y[:2]).exp().sum(),
    "in place": lambda x, y: (x * y).exp_().sum(),
    "the output": lambda x, y: (x * y).exp().sum() and None,
    "one more": lambda x, y: (x * y).exp().sum().sqrt(),
}


def test_everything_else_counts() -> None:
    programs = {"first": of(lambda x, y: (x * y).exp().sum()), **{k: of(f) for k, f in DIFFERENT.items()}}
    assert len({program.structural_hash() for program in programs.values()}) == len(programs)
    for name, program in programs.items():
        for other_name, other in programs.items():
            assert bool(program.diff(other)) == (name != other_name), (name, other_name)


def test_the_layout_counts() -> None:
    def program(x: Any) -> str:
        return ad.record(lambda: x.exp()).structural_hash()

    assert program(ad.ones(3, 4).T) != program(ad.ones(4, 3))


@pytest.mark.parametrize("name", ["mlp_step", "in_place"])
def test_the_hash_is_the_same_in_every_process(name: str) -> None:
    code = f"from tests.programs import {name}; print({name}.program().structural_hash())"
    here = import_module(f"tests.programs.{name}").program().structural_hash()
    answer = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])},
    )
    assert answer.stdout.strip() == here


# ---- The difference --------------------------------------------------------------------------------------------------


def test_an_operation_in_between_is_one_line() -> None:
    program = of(lambda x, y: (x * y).exp().sum())
    other = of(lambda x, y: (x * y).tanh().exp().sum())
    assert lines(program, other) == ["+ %1 = tanh(%0)"]
    assert lines(other, program) == ["- %1 = tanh(%0)"]


def test_a_layer_in_between_is_its_own_lines() -> None:
    layers = [nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)]
    x = ad.ones(2, 4)
    program = ad.record(nn.Sequential(*layers), x)
    other = ad.record(nn.Sequential(*layers[:2], nn.LayerNorm(4), *layers[2:]), x)
    assert [line.split(" = ")[1].split("(")[0] for line in program.diff(other).splitlines()] == ["layer_norm"]


def test_many_equal_layers_stay_aligned() -> None:
    def chain(x: Any, places: tuple[int, ...] = ()) -> Any:
        for step in range(40):
            if step in places:
                x = x.frac()
            x = (x * 2).tanh() + x
        return x

    difference = lines(of(lambda x, y: chain(x)), of(lambda x, y: chain(x, (3, 20, 39))))
    assert difference == ["+ %9 = frac(%8)", "+ %61 = frac(%60)", "+ %119 = frac(%118)"]
    one_more = lines(of(lambda x, y: x.sin().sin().sin()), of(lambda x, y: x.sin().sin().sin().sin()))
    assert len(one_more) == 1
    assert "= sin(" in one_more[0]


def test_another_parameter_or_operation_is_a_pair_of_lines() -> None:
    program = of(lambda x, y: ad.softmax(x * y, 0).exp())
    assert lines(program, of(lambda x, y: ad.softmax(x * y, 0).sin())) == ["- %2 = exp(%1)", "+ %2 = sin(%1)"]
    doubled, halved = of(lambda x, y: x * 2), of(lambda x, y: x * 0.5)
    assert lines(doubled, halved) == ["- %0 = mul(leaf0, 2.0)", "+ %0 = mul(leaf0, 0.5)"]


def test_other_operands_are_a_pair_of_lines() -> None:
    program = of(lambda x, y: (x.exp() + y.exp()) * x)
    other = of(lambda x, y: (x.exp() + y.exp()) * y)
    assert lines(program, other) == ["- %3 = mul(%2, leaf0)", "+ %3 = mul(%2, leaf1)"]


def test_other_outputs_are_a_pair_of_lines() -> None:
    program = of(lambda x, y: (x.exp(), y.sin()))
    assert lines(program, of(lambda x, y: (x.exp(), y.sin())[::-1])) == ["- return %0, %1", "+ return %1, %0"]


def test_what_reads_a_new_value_unlike_the_old_one_is_shown() -> None:
    program = of(lambda x, y: (x.exp(), y.sin())[0].sqrt())

    def other(x: Any, y: Any) -> Any:
        x.exp()
        return y.sin().cos().sqrt()

    assert lines(program, of(other)) == ["+ %2 = cos(%1)", "- %2 = sqrt(%0)", "+ %3 = sqrt(%2)"]


def test_programs_with_nothing_in_common() -> None:
    program, other = of(lambda x, y: x.exp()), of(lambda x, y: y.sin())
    assert lines(program, other) == ["- %0 = exp(leaf0)", "+ %0 = sin(leaf0)"]
    assert lines(program, Program([])) == ["- %0 = exp(leaf0)", "- return %0"]
    assert Program([]).diff(Program([])) == ""


def random_program(seed: int, insert_at: int = -1) -> Program:
    """Record a random computation; at one place, its value goes through `frac` as well."""
    draws = random.Random(seed)

    def compute(x: Any, y: Any) -> Any:
        values = [x, y]
        for step in range(12):
            a, b = draws.choice(values), draws.choice(values)
            value = draws.choice([lambda a, b: a * b, lambda a, b: a + b, lambda a, b: a.tanh()])(a, b)
            values.append(ad.frac(value) if step == insert_at else value)
        return values[-1]

    return of(compute)


@given(st.integers(0, 10**6), st.integers(0, 11))
def test_an_operation_put_in_anywhere_is_one_line(seed: int, place: int) -> None:
    difference = lines(random_program(seed), random_program(seed, place))
    assert len(difference) == 1
    assert difference[0].startswith("+ ")
    assert "= frac(" in difference[0]


@given(st.integers(0, 300), st.integers(0, 300))
def test_there_is_no_difference_exactly_where_the_hashes_are_equal(seed: int, other: int) -> None:
    first, second = random_program(seed), random_program(other)
    assert (first.diff(second) == "") == (first.structural_hash() == second.structural_hash())


# ---- Memory ----------------------------------------------------------------------------------------------------------


def test_a_value_lives_until_it_is_read_last() -> None:
    use = of(lambda x, y: (x.exp() + y).exp()).memory()
    assert use.live == (48, 64, 64)  # two leaves, and exp; then exp and add; then add and exp
    assert use.peak == 64
    assert use.record is not None
    assert use.record.name == "add"
    assert of(lambda x, y: (x.exp(), x.sin())).memory().live == (32, 48)  # y is never read; outputs live on
    assert Program([]).memory() == ((), 0, None, ())


def test_what_shares_memory_counts_once() -> None:
    x = ad.ones(4)
    assert ad.record(lambda: x.exp().reshape(2, 2).T.exp()).memory().live == (32, 32, 32, 48)
    assert ad.record(lambda: x.exp().mul_(2).sin_()).memory().live == (32, 32, 32)
    assert ad.record(lambda: x.mul_(2)).memory().live == (16,)
    assert ad.record(lambda a, b: a[:2] + b[2:], x, x.detach()).memory().live == (16, 16, 24)
    assert ad.record(lambda: x[:1].expand(1000).exp()).memory().live == (16, 16, 4016)


def test_a_program_from_text_has_the_same_memory() -> None:
    program = Program.parse("x: float32[1000] \n %0: float32[1000] = exp(x) \n %1: float32[1000] in %0 = exp(%0)")
    assert program.memory().live == (8000, 8000)


# ---- Places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scopes", "around"),
    [
        (["Net.a.b"], "Net.a.b"),
        (["Net.a.b", "Net.a.c"], "Net.a"),
        (["Net.a.b", "Net.a"], "Net.a"),
        (["Net.a", "Other.a"], ""),
        (["Net.a", ""], ""),
        (["", ""], ""),
        (["Net.ab", "Net.abc"], "Net"),
        (["Net.a", "Net.a-b.c", "Net.a.z"], "Net"),  # "-" comes before "."
    ],
)
def test_the_innermost_module_around_places(scopes: list[str], around: str) -> None:
    assert common_scope(scopes) == common_scope(reversed(scopes)) == around
