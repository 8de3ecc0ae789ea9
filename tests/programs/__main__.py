from __future__ import annotations

from importlib import import_module
from pathlib import Path

for file in sorted(Path(__file__).parent.glob("*.txt")):
    file.write_text(str(import_module(f"tests.programs.{file.stem}").program()) + "\n", encoding="utf-8")
