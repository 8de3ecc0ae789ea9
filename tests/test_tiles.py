"""The register tiles that `docs/tiles.md` shows as chosen are the ones that are used, and its script runs."""

from __future__ import annotations

import re

from autodiff_kernels.cpu import TILES
from benchmarks import tiles


def test_the_page_shows_the_shapes_that_are_used() -> None:
    sections = tiles.FILE.read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(sections) == len(tiles.REGISTERS)
    for section, (width, registers) in zip(sections, tiles.REGISTERS, strict=True):
        assert section.startswith(f"{registers} registers of {width} bytes\n")
        rows, vectors = TILES[width, registers]
        assert re.findall(r"\*\*(.+)\*\*", section) == [f"{rows} x {vectors}"]


def test_tables() -> None:
    speeds = {(6, 2): [1.0] * (len(tiles.DEPTHS) + len(tiles.SIZES)), (12, 1): [2.25] * len(tiles.DEPTHS)}
    *_, one, other = tiles.table(32, 16, speeds).split("\n")
    assert one.startswith("| **6 x 2** | 1.0 |")
    assert other.startswith("| 12 x 1 | 2.2 |")
    assert one.count("|") == other.count("|")


def test_what_is_measured_runs() -> None:
    assert tiles.tile_speed(16) > 0
    assert tiles.product_speed(9, 10, 11) > 0
