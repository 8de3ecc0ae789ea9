"""A graph's page, opened in the headless Chromium: what the tests of pages share."""

from __future__ import annotations

from pathlib import Path

import browser
from test_page import text_of

from autodiff.viz.graph import Graph
from autodiff.viz.picture import Picture

BUSY = "document.getElementById('stage').getAttribute('aria-busy')"
TITLE = "document.querySelector('#panel h2').textContent"
NODES = "[...document.querySelectorAll('#canvas .node')].map(node => node.dataset.id)"
LEGEND = "document.getElementById('legend').innerText"


class Opened:
    """A page in the browser."""

    def __init__(self, chromium: browser.Browser, folder: Path) -> None:
        self.chromium = chromium
        self.folder = folder

    def show(self, graph: Graph, title: str = "A graph", still: str = "digraph {a}") -> browser.Browser:
        """Open the page of a graph and wait for its first layout."""
        file = self.folder / "graph.html"
        file.write_text(text_of(graph, title, still), encoding="utf-8")
        return self._open(file)

    def show_page_of(self, picture: Picture) -> browser.Browser:
        """Open the page that a picture writes and wait for its first layout."""
        return self._open(Path(picture.write_page(self.folder / "graph.html")))

    def _open(self, file: Path) -> browser.Browser:
        self.chromium.open(file)
        settle(self.chromium)
        return self.chromium


def settle(chromium: browser.Browser) -> None:
    chromium.wait(f"{BUSY} === 'false'")


def choose(chromium: browser.Browser, overlay: str) -> None:
    """Colour by a measure."""
    chromium.run(f"document.getElementById('overlay').value = '{overlay}';"
                 "document.getElementById('overlay').dispatchEvent(new Event('change'))")


def select(chromium: browser.Browser, text: str) -> None:
    """Go to what a search finds first."""
    chromium.press("/")
    chromium.call("Input.insertText", text=text)
    chromium.press("Enter")
    settle(chromium)
    chromium.run("document.getElementById('search').value = ''")
