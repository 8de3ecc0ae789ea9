"""Makes the pictures of the documents in this folder by running the code above them.

    python docs/pictures.py [--check] [FILE.md ...]

A picture belongs to the block of Python before it: it is what the block's last line returns, or a file that the block
has written. The blocks of a document share their names. With --check everything is made in a temporary folder: these
documents must show all of it and nothing else, and every picture must be shown somewhere.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parent
PICTURES = "pictures"
_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?P<links>(?:\n|!\[[^\]]*\]\([^)]+\)\n)*)", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


class Block(NamedTuple):
    """A piece of code in a document, and the pictures that follow it."""

    line: int
    code: str
    pictures: list[str]


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the Python blocks of a document."""
    for found in _BLOCK.finditer(text):
        yield Block(text.count("\n", 0, found.start()) + 2, found["code"], _LINK.findall(found["links"]))


def run(document: Path, folder: Path) -> list[str]:
    """Run the code of a document, write its pictures below `folder`, and return their paths.

    Raises:
        ValueError: if a block has a picture and makes none.
    """
    names: dict[str, Any] = {"__name__": document.stem}
    made = []
    with contextlib.chdir(folder):
        Path(PICTURES).mkdir(exist_ok=True)
        for block in blocks_of(document.read_text(encoding="utf-8")):
            # Lines keep their numbers in the document, for errors and for the pictures that name them.
            tree = ast.parse("\n" * (block.line - 1) + block.code, document.name)
            last = tree.body.pop() if block.pictures and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, document.name, "exec"), names)
            value = None if last is None else eval(compile(ast.Expression(last.value), document.name, "eval"), names)
            for picture in block.pictures:
                write(value, picture)
                if not Path(picture).is_file():
                    raise ValueError(f"{document.name}:{block.line}: this code makes no {picture}")
                if picture.endswith(".png"):
                    with_few_colours(picture)
                made.append(picture)
    return made


def write(value: Any, path: str) -> None:
    """Write what a block returned; nothing where it has written a file itself."""
    from graphviz import Digraph

    from autodiff.viz.plots import save_figure

    if isinstance(value, Digraph):
        value.render(outfile=path)
    elif hasattr(value, "render"):
        value.render(path)
    elif value is not None:
        save_figure(value, path, dpi=85)


def with_few_colours(path: str) -> None:
    """Give a PNG a palette of 256 colours: a third of its size."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def documents() -> list[Path]:
    """Return the documents that have pictures."""
    found = [path for path in sorted(DOCS.glob("*.md")) for block in blocks_of(path.read_text(encoding="utf-8"))
             if block.pictures]
    return list(dict.fromkeys(found))


def check(document: Path) -> list[str]:
    """Return what is wrong with a document's pictures."""
    with tempfile.TemporaryDirectory() as folder:
        made = run(document, Path(folder))
    shown = _LINK.findall(document.read_text(encoding="utf-8"))
    wrong = [f"{document.name}: no code makes {picture}" for picture in shown if picture not in made]
    return wrong + [f"{document.name}: {picture} is missing" for picture in made if not (DOCS / picture).is_file()]


def left_over() -> list[str]:
    """Return the pictures that no document shows."""
    used = {picture for path in DOCS.glob("*.md") for picture in _LINK.findall(path.read_text(encoding="utf-8"))}
    kept = [os.fspath(path.relative_to(DOCS)) for path in sorted((DOCS / PICTURES).rglob("*")) if path.is_file()]
    return [f"no document shows {picture}" for picture in kept if picture not in used]


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", nargs="*", type=Path, metavar="FILE.md", help="by default all with pictures")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is wrong")
    arguments = parser.parse_args()
    chosen = [path.resolve() for path in arguments.documents] or documents()
    if arguments.check:
        wrong = [line for path in chosen for line in check(path)] + left_over()
        sys.exit("\n".join(wrong) or None)
    for path in chosen:
        print(f"{path.name}: {len(run(path, DOCS))} pictures")


if __name__ == "__main__":
    sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "kernels")]
    main()
