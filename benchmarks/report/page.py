"""The page of a run: one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autodiff.machine.kernels import STREAMS
from benchmarks.report import plots, words
from benchmarks.report.digest import OURS, Group, Row, groups, median, problems, share_not_slower, title
from benchmarks.report.html import Html, details, element, join, table
from benchmarks.report.scaling import across_threads, curves
from benchmarks.report.table import counted

STYLE = Path(__file__).with_name("style.css")
LONG = 40  # rows: a longer table is folded

READING = (
    ("Ratio", "the peer's time divided by autodiff's, so above 1 autodiff is faster. It is the median over rounds in "
     "which the contenders took turns; in brackets is its 95% interval. Blue: the whole interval is above 1; orange: "
     "below 1. In the suite memory it is the peer's memory divided by autodiff's."),
    ("Time", "the median of a call, after the first. Where a call holds many operations, the time of one."),
    ("Rate and limit", "flops and bytes come from the cost records of autodiff's operations. The limit is the time "
     "that the machine needs at least: flops / peak, or bytes / bandwidth of the smallest level of memory that holds "
     "all operands, whichever is longer. The bandwidth is that of the fastest stream that was measured. The share says "
     "how much of the limit is reached, and what sets it. It may exceed 100% where part of the operands stays in a "
     "smaller level."),
    ("First call", "with tracing, compiling, and reading compiled code from disk."),
    ("Peak memory", "of the process while it built and first called the case, over what it held before."),
    ("Wrong", "outputs or gradients differ by more than the case allows; such a contender is not timed."),
    ("On paper", "folded tables stay folded: open what should be printed."),
)


def page(results: dict[str, Any]) -> str:
    """Return the HTML page of a run's results."""
    found = groups(results)
    suites = list(dict.fromkeys(group.suite for group in found))
    limits = results["machine"]["limits"]
    body = [
        heading(results),
        contents(suites),
        element("h2", "The machine", id="machine"), the_machine(results),
        element("h2", "How to read this", id="reading"), facts(READING),
        element("h2", "Summary", id="summary"), overview(results, found),
        element("h2", "Wrong and failed", id="problems"), the_problems(results),
    ]
    for suite in suites:
        body.append(element("h2", suite, id=f"suite-{suite}"))
        own = [group for group in found if group.suite == suite]
        body += [section(group, limits.get(str(group.threads))) for group in own]
        across = across_threads(own)
        if across:
            body += [element("h3", f"{suite}, against threads"), plots.growth(across) if plots.available() else "",
                     exponents(across)]
    head = [
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"Benchmarks of autodiff, {day(results)}"),
        element("style", Html(STYLE.read_text(encoding="utf-8"))),
    ]
    return "<!doctype html>\n" + element("html", element("head", *head), element("body", *body), lang="en") + "\n"


def day(results: dict[str, Any]) -> str:
    """Return the date of a run."""
    return str(results["date"])[:10]


def heading(results: dict[str, Any]) -> Html:
    """Return the title and what was run."""
    commit = f"{results['commit'][:12] or 'unknown'}{' with uncommitted changes' if results['dirty'] else ''}"
    machine = results["machine"]
    return join([
        element("h1", "autodiff beside its peers"),
        facts([
            ("Date", str(results["date"])),
            ("Command", element("code", results["command"])),
            ("Commit", element("code", commit)),
            ("Processor", f"{machine['cpu']}, {machine['cores']} cores, vectors of {8 * machine['vector_bytes']} bits, "
             f"{words.capacity(machine['memory'])} of memory, {machine['system']}"),
            ("Versions", ", ".join(f"{name} {version}" for name, version in results["versions"].items())),
            ("Contenders", ", ".join(name for name in results["contenders"] if name not in results["missing"])),
            *((f"{name}", f"not installed: {reason}") for name, reason in results["missing"].items()),
        ]),
        element("p", "A quick run: a selection of the cases with short rounds, so the intervals are wide.",
                class_="warning") if results["quick"] else "",
    ])


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Return a list of terms and what is said of them."""
    return element("dl", *(join([element("dt", name), element("dd", text)]) for name, text in pairs), class_="facts")


def contents(suites: list[str]) -> Html:
    """Return the links to the sections."""
    fixed = [("machine", "The machine"), ("reading", "How to read this"), ("summary", "Summary"),
             ("problems", "Wrong and failed")]
    return element("nav", *(element("a", name, href=f"#{place}") for place, name in
                            [*fixed, *((f"suite-{suite}", suite) for suite in suites)]))


def the_machine(results: dict[str, Any]) -> Html:
    """Return the limits that were measured."""
    tables = []
    for count, limits in results["machine"]["limits"].items():
        peaks = ", ".join(f"{words.digits(peak / 1e9)} GFLOP/s in {dtype}" for dtype, peak in limits["flops"].items())
        levels = [
            [", ".join([level["name"], *([words.capacity(level["size"])] if level["size"] else [])]),
             *(f"{words.digits(level[stream] / 1e9)} GB/s" for stream in STREAMS)]
            for level in limits["levels"]
        ]
        tables.append(table(["", *STREAMS], levels, f"{words.threads(int(count))}: {peaks}"))
    return join([
        element("div", *tables, class_="side"),
        element("p", "The best of many short runs before the first case. Bytes are those that are read and written. "
                "Copy is x = y, triad x = y + c z, axpy x = c x + y: in place, so it reads nothing only to "
                "overwrite it.", class_="faint"),
    ])


def overview(results: dict[str, Any], found: list[Group]) -> Html:
    """Return the summary: a row for each suite and number of threads, and the lowest ratios."""
    if not found:
        return element("p", "Nothing was measured.")
    peers = [name for name in results["contenders"] if any(name in group.peers for group in found)]
    rows = [
        [element("a", group.suite, href=f"#suite-{group.suite}"), str(group.threads), str(len(group.rows)),
         counted(group.statuses(OURS)) or "all ok", *(summarised(group, peer) for peer in peers)]
        for group in found
    ]
    return join([
        element("p", "The median ratio of each peer's time (or memory) to autodiff's, above 1 where autodiff is "
                "better, and the share of rows from 1 on."),
        table(["suite", "threads", "rows", OURS, *peers], rows),
        plots.medians(found, peers) if plots.available() else missing_plots(),
        element("h3", "Lowest ratios"),
        element("div", *(lowest(group) for group in found), class_="side"),
    ])


def summarised(group: Group, peer: str) -> Html:
    """Return the cell of a peer in the summary."""
    ratios = group.comparisons(peer)
    others = counted(group.statuses(peer))
    parts: list[str] = [element("small", others)] if others else []
    if ratios:
        parts = [coloured(words.ratio(median(ratios)), median(ratios) >= 1, median(ratios) < 1),
                 element("small", f"{share_not_slower(ratios):.0%} of {len(ratios)}"), *parts]
    return element("td", *(parts or ["–"]))


def coloured(text: str, faster: bool, slower: bool) -> Html:
    """Return a ratio in the colour of what it says."""
    return element("span", text, class_="faster" if faster else "slower" if slower else "")


def lowest(group: Group) -> Html:
    """Return the lowest ratios of a group."""
    head = ["case", element("th", "peer", class_="left"), "ratio"]
    rows = [
        [entry.row["case"], element("td", entry.peer, class_="left"), ratio_of(entry.row["results"][entry.peer])]
        for entry in group.worst()
    ]
    if not rows:
        return Html("")
    return table(head, rows, f"{group.suite}, {words.threads(group.threads)}", "cases")


def missing_plots() -> Html:
    """Return what stands in place of plots where they cannot be drawn."""
    return element("p", "No plots: they need matplotlib, the extra ", element("code", "plots"), " (",
                   element("code", "pip install 'autodiff-tape[plots]'"), ").", class_="faint")


def the_problems(results: dict[str, Any]) -> Html:
    """Return all that was wrong or failed, with the whole message."""
    found = problems(results)
    if not found:
        return element("p", "Nothing: all contenders that ran computed the same outputs and gradients.")
    entries = []
    for row, contender, result in found:
        where = f"{row['case']}, {words.threads(row['threads'])}, {contender}: "
        message = (result["message"] or "").strip()
        long = "\n" in message
        status = element("span", result["status"] if long else words.status(result), class_="bad")
        entries.append(element("li", where, status, element("pre", message) if long else ""))
    several = element("ul", *entries)
    return details(f"{len(found)} results", several, opened=len(found) <= LONG)


def section(group: Group, limits: dict[str, Any] | None) -> Html:
    """Return the part of a suite for one number of threads."""
    long = len(group.rows) > LONG
    times = table(["case", *columns(group)], [times_of(row, group) for row in group.rows],
                  class_="cases long" if long else "cases")
    firsts = table(["case", *group.contenders], [firsts_of(row, group) for row in group.rows],
                   class_="cases long" if long else "cases")
    return join([
        element("h3", f"{group.suite}, {words.threads(group.threads)}"),
        plots.figures(group, limits) if plots.available() else missing_plots(),
        exponents(group),
        details(f"All {len(group.rows)} cases", times) if long else times,
        details("First call, peak memory, and largest difference of the answers", firsts),
    ])


def columns(group: Group) -> list[str]:
    """Return the heads of a group's columns: autodiff's rate and limit stand behind its time."""
    heads: list[str] = []
    for name in group.contenders:
        heads.append(name)
        if name == OURS and has_costs(group):
            heads.append("rate, share of limit")
    return heads


def has_costs(group: Group) -> bool:
    """Tell whether the group's rows have rates to show."""
    return any(words.rate(row) for row in group.rows)


def times_of(row: Row, group: Group) -> list[str]:
    """Return the cells of a row: times and ratios."""
    cells: list[str] = [title(row)]
    for name in group.contenders:
        result = row["results"].get(name)
        if result is None:
            cells.append(element("td", "–", class_="faint"))
        elif result["status"] != "ok":
            cells.append(element("td", words.status(result), class_=f"words {emphasis(result)}"))
        else:
            parts = [words.value(row, result)]
            if result["ratio"] is not None:
                parts.append(element("small", ratio_of(result)))
            cells.append(element("td", *parts))
        if name == OURS and has_costs(group):
            cells.append(element("td", words.rate(row), element("small", words.share(row))))
    return cells


def emphasis(result: dict[str, Any]) -> str:
    """Return the class of a status that is not "ok"."""
    return "bad" if result["status"] in ("wrong", "failed") else "faint"


def ratio_of(result: dict[str, Any]) -> Html:
    """Return a ratio with its interval."""
    low, high = result["low"] or result["ratio"], result["high"] or result["ratio"]
    between = words.interval(result, "–")
    return join([coloured(words.ratio(result["ratio"]), low > 1, high < 1),
                 element("span", f" ({between})", class_="interval") if between else ""])


def firsts_of(row: Row, group: Group) -> list[str]:
    """Return the cells of a row: first call, peak memory, difference of the answers."""
    cells: list[str] = [title(row)]
    for name in group.contenders:
        result = row["results"].get(name)
        if result is None or result["first"] is None:
            cells.append(element("td", "–", class_="faint"))
            continue
        notes = [words.size(result["peak"])] if result["peak"] is not None else []
        if result["difference"] is not None:
            notes.append(f"differs by {result['difference']:.0e}" if result["difference"] else "equal")
        cells.append(element("td", words.seconds(result["first"]), element("small", ", ".join(notes)) if notes else ""))
    return cells


def exponents(group: Group) -> Html:
    """Return the fitted exponents of a group's curves as a table; nothing without curves."""
    found = {(curve.series, curve.contender): curve for curve in curves(group)}
    if not found:
        return Html("")
    names = [name for name in group.contenders if any(contender == name for _, contender in found)]
    rows = [
        [series, *(
            f"{curve.exponent:.2f}" if (curve := found.get((series, name))) and curve.exponent is not None else "–"
            for name in names
        )]
        for series in dict.fromkeys(series for series, _ in found)
    ]
    return table(["series", *names], rows, "Fitted exponent p of y = c x^p")
