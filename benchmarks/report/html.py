"""Elements of a page as text."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def element(tag: str, *content: str, **attributes: str) -> Html:
    """Return an element. A trailing underscore of an attribute's name is dropped; an empty value leaves it out."""
    settings = "".join(
        f' {name.rstrip("_")}="{html.escape(text)}"' for name, text in attributes.items() if text
    )
    return Html(f"<{tag}{settings}>{join(content)}</{tag}>")


def join(content: Iterable[str]) -> Html:
    """Return pieces of text, escaped unless they are ``Html``, one after the other."""
    return Html("".join(piece if isinstance(piece, Html) else html.escape(piece) for piece in content))


def table(head: Iterable[str], rows: Iterable[Iterable[str]], caption: str = "", class_: str = "") -> Html:
    """Return a table that scrolls by itself where it is too wide.

    A piece that is a cell already (``<th`` or ``<td``) stays one; of the others the first of a row names it.
    """
    body = [element("tr", *(cell(piece, "td" if i else "th") for i, piece in enumerate(row))) for row in rows]
    top = element("tr", *(cell(piece, "th") for piece in head))
    parts = [element("caption", caption)] if caption else []
    whole = element("table", *parts, element("thead", top), element("tbody", *body))
    return element("div", whole, class_=f"scroll {class_}".strip())


def cell(piece: str, tag: str) -> Html:
    """Return a piece as a cell of a table."""
    if isinstance(piece, Html) and piece.startswith(("<td", "<th")):
        return piece
    return element(tag, piece)


def details(heading: str, *content: str, opened: bool = False) -> Html:
    """Return a part of the page that is unfolded by a click."""
    inner = join([element("summary", heading), *content])
    return Html(f"<details{' open' if opened else ''}>{inner}</details>")
