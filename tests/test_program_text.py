"""The printed form of a program: kept texts, the way there and back, and what is said of a text that is wrong."""

from __future__ import annotations

import re
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_operations import call, strided_copy

import autodiff as ad
from autodiff.errors import ParseError
from autodiff.primitive import OPERATIONS
from autodiff.program import Program
from autodiff.spec import Spec
from autodiff.viz import draw

KEPT = sorted(file.stem for file in (Path(__file__).parent / "programs").glob("*.txt"))


def kept(name: str) -> str:
    return (Path(__file__).parent / "programs" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def there_and_back(program: Program) -> Program:
    """Return what is read of a program's text, which must say the same of it."""
    text = str(program)
    read = Program.parse(text)
    assert str(read) == text
    assert read.structural_hash() == program.structural_hash()
    assert program.diff(read) == ""
    assert read.cost() == program.cost()
    # A text does not say which records propagate back through which, so that is left out here.
    assert read.memory()[:2] == Program(program.records, program.outputs, program.written).memory()[:2]
    for mine, theirs in zip(read, program, strict=True):
        assert (mine.inputs, mine.outputs) == (theirs.inputs, theirs.outputs)
        assert (mine.phase, mine.scope) == (theirs.phase, theirs.scope)
    return read


@pytest.mark.parametrize("name", KEPT)
def test_the_text_is_the_one_that_is_kept(name: str) -> None:
    program = import_module(f"tests.programs.{name}").program()
    assert str(program) == kept(name), "where this is meant: python -m tests.programs"
    read = there_and_back(program)
    read.verify()
    lines = [record.line for record in read]
    assert [(line.number, line.filename) for line in lines if line] == [
        (record.line.number, f"{name}.py") for record in program if record.line
    ]
    drawn, again = (draw(p, title="").source for p in (program, read))
    # What was read does not know which calls a backward pass goes back through: unseen edges hold these together.
    arrows = [sum("->" in line and "invis" not in line for line in source.splitlines()) for source in (drawn, again)]
    assert arrows[0] == arrows[1]
    # What was read does not know which leaves are inputs: these stand outside of all modules.
    assert Counter(re.findall("<B>[^<]*</B>", drawn)) == Counter(re.findall("<B>[^<]*</B>", again))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_programs_of_all_samples_go_there_and_back(name: str) -> None:
    operation = OPERATIONS[name]
    for sample in operation.samples():

        def leaf(x: Any, wanted: bool = sample.gradient) -> ad.Tensor:
            tensor = ad.tensor(strided_copy(x))
            return tensor.requires_grad_() if wanted and tensor.is_floating_point() else tensor

        def run(sample: Any = sample, leaf: Any = leaf) -> Any:
            results = call(operation, sample, leaf)
            for result in results:
                if isinstance(result, ad.Tensor) and result.requires_grad:
                    result.sum().backward(retain_graph=True)
            return results

        there_and_back(ad.record(run)).verify()


def test_a_tape_has_operands_of_which_only_the_type_is_known() -> None:
    x = ad.ones(2, requires_grad=True)
    loss = (x * ad.ones(3, 2)).sum()
    text = str(there_and_back(ad.eager.tape_of(loss)))
    assert "mul(leaf0, _: float32[3,2])" in text


def test_values_from_before_the_recording_are_leaves() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x.exp()
    program = ad.record(lambda: y.sum().backward())
    assert str(there_and_back(program)).startswith("leaf0: float32[2]")


def test_names_stay_apart() -> None:
    tensors = [ad.full((2,), float(i)) for i in range(9)]
    names = ["w", "w", "leaf0", "a b", "a b", "in", "1.5", 'quote"#', None]
    for tensor, name in zip(tensors, names, strict=True):
        tensor.name = name
    program = there_and_back(ad.record(lambda: ad.cat(tensors)))
    declared = [line.rpartition(": ")[0] for line in str(program).splitlines()[:9]]
    assert declared == ["w", "w@2", '"leaf0"', '"a b"', '"a b"@2', '"in"', '"1.5"', r'"quote\"#"', "leaf0"]
    assert [leaf.name for leaf in program.leaves()] == names


@pytest.mark.parametrize(
    ("dtype", "number", "text"),
    [
        ("float32", 0.1, "0.1"),
        ("float32", -0.0, "-0.0"),
        ("float32", np.float32(1e-45).item(), "1e-45"),
        ("float32", float("inf"), "inf"),
        ("float32", float("-inf"), "-inf"),
        ("float32", float("nan"), "nan"),
        ("float64", 0.1, "0.1: float64[]"),
        ("int64", -(2**63), str(-(2**63))),
        ("int8", 3, "3: int8[]"),
        ("bool", True, "True"),
    ],
)
def test_numbers_stand_where_they_are_read(dtype: str, number: Any, text: str) -> None:
    x, y = ad.ones(2).to(getattr(ad, dtype)), ad.tensor(number, dtype=getattr(ad, dtype))
    program = there_and_back(ad.record(lambda: ad.maximum(x, y)))
    assert f"maximum(leaf0, {text})" in str(program)
    np.testing.assert_array_equal(program.leaves()[1].array, y.numpy())


def test_a_number_that_is_changed_named_or_wants_a_gradient_is_a_leaf() -> None:
    count, named, wanted = ad.tensor(1.0), ad.tensor(1.0), ad.tensor(1.0, requires_grad=True)
    named.name = "named"

    def run() -> Any:
        result = count * named * wanted
        count.add_(1)
        return result

    text = str(there_and_back(ad.record(run)))
    assert text.startswith("leaf0: float32[]\nnamed: float32[]\nleaf1: float32[] requires_grad\n")
    assert "in leaf0 = add(leaf0, 1.0)" in text


@given(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text())
def test_every_parameter_comes_back(number: float, integer: int, word: str) -> None:
    value = (number, (integer,), [word, None, True], ad.int8, Spec.strided((2,), np.dtype("int64"), (-3,)), ())
    program = ad.record(lambda: ad.ones(2).exp())
    program.records[0].params = {"value": value}
    read = there_and_back(program).records[0].params["value"]
    assert repr(read) == repr(value)


def test_what_text_cannot_hold_is_shown() -> None:
    program = there_and_back(import_module("tests.programs.mlp_step").program())
    assert "table=<array int64[4,6]>" in str(program)


class Twice(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


def test_a_function_of_the_users_own_stands_in_quotes() -> None:
    program = there_and_back(ad.record(Twice.apply, ad.ones(3)))
    assert '"Twice"(leaf0) context=<Context>' in str(program)


def test_blank_lines_comments_and_any_numbering_are_read() -> None:
    text = """
        # a program
        x: int64[2,2] strided(1,2)

        %7: int64[2,2] = neg(x)  # "a net.head"  "my file.py":3
        %2: int64[2,2]=abs(%7)"""
    program = Program.parse(text)
    assert str(program).splitlines() == [
        "x: int64[2,2] strided(1,2)",
        "forward:",
        '  %0: int64[2,2] = neg(x)  # "a net.head"  "my file.py":3',
        "  %1: int64[2,2] = abs(%0)",
    ]
    assert program.records[0].scope == "a net.head"
    assert str(program.records[0].line).startswith("my file.py:3 in")


WRONG = [
    ("x: float32[2\n", "line 1, column 13: this cannot stand here; expected ']'; got the end of the line"),
    ("x: float8[2]", "line 1, column 4: no dtype has this name; expected float32, float64,.*; got 'float8'"),
    ("x: float32[2.5]", "line 1, column 12: this is no size or stride; expected a whole number; got 2.5"),
    ("x: float32[-1]", "line 1, column 12: this is no size or stride; expected a whole number; got -1"),
    ("x: float32[2] channels_last", "column 15: only images have channels; expected three dimensions or more; got 1"),
    ("x: float32[2] strided(1,1)", "column 15: there is not one stride a dimension; expected 1; got 2"),
    ("x: float32[2] wants_grad", "column 15: the line should end here; expected the end of the line; got 'wants_grad'"),
    ("x: float32[]\nx: float32[]", "line 2, column 1: this leaf has been declared before; got x"),
    ("sideways:", "line 1, column 10: this cannot stand here; expected a type such as .*; got the end of the line"),
    ("= exp(x)", "line 1, column 1: this cannot stand here; expected a leaf, a value, a phase or 'return'; got '='"),
    ("%0: float32[] = exp(x)", "line 1, column 21: no leaf above has this name; got x"),
    ("%0: float32[] = exp(%1)", "line 1, column 21: no record above has made this value; got %1"),
    ("%0: float32[] = exp(%0)", "line 1, column 21: no record above has made this value; got %0"),
    ("%0: float32[], %0: float32[] = exp()", "line 1, column 16: this value has been made before; got %0"),
    ("%0: float32[] = expp(1.0)", "line 1, column 17: no operation has this name; expected .*; got 'expp'"),
    ("%0: float32[] = dropout(1.0)", "line 1, column 17: no operation has this name"),
    ("%0: float32[] = exp 1.0", r"line 1, column 21: this cannot stand here; expected '\('; got '1.0'"),
    ("%0: float32[] = exp(1.0", r"line 1, column 24: this cannot stand here; expected '\)'; got the end of the line"),
    ("%0: float32[] = exp(,)", "line 1, column 21: this cannot stand here; expected an operand; got ','"),
    ("%0: float32[] = exp(300: int8[])", "column 21: this number does not fit its type; expected int8..; got 300"),
    ("%0: float32[2] = exp(1.0: float32[2])", "column 22: a number has no dimensions; expected .*; got float32.2."),
    ("%0: float32[] = exp(1.0) a=1 a=2", "line 1, column 30: this parameter has been given before; got a"),
    ("%0: float32[] = exp(1.0) a=b", "column 28: this is no value of a parameter; expected a number, .*; got 'b'"),
    ("%0: float32[] = exp(1.0) a=(1 2)", "line 1, column 31: this cannot stand here; expected ','; got '2'"),
    (r'%0: float32[] = exp(1.0) a="\x"', "line 1, column 28: this string cannot be read; expected a string as in JSON"),
    ("%0: float32[] = exp(1.0) $", r"line 1, column 26: a character that begins nothing; got '\$'"),
    ("%0: float32[] = exp(1.0)  # two words", "line 1, column 27: this is no place; expected '# module.*"),
    ("return x", "line 1, column 8: this cannot stand here; expected a value such as %0; got 'x'"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_text_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=rf"^\[Program.parse\] .*{message}"):
        Program.parse(text)


@given(st.sampled_from(KEPT), st.integers(0), st.integers(0, 3), st.text(max_size=2))
def test_a_damaged_text_is_read_or_refused(name: str, place: int, length: int, instead: str) -> None:
    text = kept(name)
    place %= len(text)
    try:
        read = Program.parse(text[:place] + instead + text[place + length :])
    except ParseError:
        return
    assert str(Program.parse(str(read))) == str(read)
