"""The documents with pictures: their code runs, makes what they show, and nothing that nobody shows is kept."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
DRAWN = [] if shutil.which("dot") else ["pygraphviz"]
NEEDED = {"plots.md": ["matplotlib"], "gallery.md": DRAWN, "graphs.md": DRAWN}
LARGEST = 1_500_000  # bytes of all pictures


def load() -> object:
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pictures = load()


def test_every_document_with_pictures_is_listed() -> None:
    assert [path.name for path in pictures.documents()] == sorted(NEEDED)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NEEDED)
def test_the_code_of_a_document_makes_its_pictures(name: str) -> None:
    missing = [package for package in NEEDED[name] if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"the extras plots and draw bring {', '.join(missing)}")
    assert pictures.check(DOCS / name) == []  # type: ignore[attr-defined]


def test_no_picture_is_left_over_and_all_are_small() -> None:
    assert pictures.left_over() == []  # type: ignore[attr-defined]
    assert sum(path.stat().st_size for path in (DOCS / "pictures").rglob("*") if path.is_file()) < LARGEST


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("text\n\n```python\nx = 1\n```\n\n![a](pictures/none.svg)\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"document.md:4: this code makes no pictures/none\.svg"):
        pictures.check(document)  # type: ignore[attr-defined]
    document.write_text("![a](pictures/none.svg)\n\n```python\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        pictures.check(document)  # type: ignore[attr-defined]
    code = "open('pictures.txt', 'w').close()"
    document.write_text(f"```python\n{code}\n```\n\n![a](pictures.txt)\n\ntext\n\n![b](other.svg)\n", encoding="utf-8")
    assert pictures.check(document) == [  # type: ignore[attr-defined]
        "document.md: no code makes other.svg", "document.md: pictures.txt is missing"]
