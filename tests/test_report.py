"""What a person reads of a run: the page, the lines on the terminal, the README's tables, on results made by hand."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme, report
from benchmarks.report import plots, words
from benchmarks.report.digest import groups
from benchmarks.report.scaling import across_threads, curves, exponent

CONTENDERS = ["autodiff", "torch", "torch channels_last", "torch.compile", "jax", "numpy"]
LIMITS: dict[str, Any] = {
    "flops": {"float32": 100e9, "float64": 50e9},
    "levels": [
        {"name": "L1", "size": 32768, "copy": 200e9, "triad": 190e9, "axpy": 210e9},
        {"name": "memory", "size": None, "copy": 20e9, "triad": 22e9, "axpy": 35e9},
    ],
}


def ok(value: float, ratio: float | None = None, spread: float = 0.1) -> dict[str, Any]:
    """Return a result that was timed."""
    return {
        "status": "ok", "message": None, "value": value, "rounds": [value] * 5, "first": 0.25, "peak": 12_000_000,
        "ratio": ratio, "low": ratio and ratio - spread, "high": ratio and ratio + spread, "difference": 2e-7,
    }


def bad(status: str, message: str | None = None) -> dict[str, Any]:
    """Return a result that was not."""
    return dict.fromkeys(ok(1.0)) | {"status": status, "message": message, "rounds": []}


def make_row(case: str, results: dict[str, dict[str, Any]], **other: Any) -> dict[str, Any]:
    """Return a row."""
    return {
        "case": case, "suite": case.split("/")[0], "threads": 1, "measure": "seconds", "count": 1, "sweep": None,
        "cost": None, "limit": None, "results": results, **other,
    }


COST = {"flops": 60_000_000, "bytes": 4_000_000, "operand_bytes": 4_000_000, "itemsize": 4}
ROWS = [
    make_row("train/lenet/b128", {
        "autodiff": ok(1e-3), "torch": ok(2e-3, 2.0), "torch channels_last": ok(1.5e-3, 1.5),
        "torch.compile": bad("not installed", "no module 'torch'"), "jax": ok(0.8e-3, 0.8), "numpy": ok(12e-3, 12.0),
    }, cost=COST, limit={"seconds": 0.6e-3, "bound": "flops"}),
    make_row("train/gpt", {
        "autodiff": ok(2e-3), "torch": ok(2.05e-3, 1.025),
        "torch.compile": bad("failed", "CompileError: <no compiler>\n  in line 3"),
        "jax": bad("wrong", "'gradient of w' differs from torch's by 3.0e-02 (allowed: 1e-04)"),
    }, cost=COST | {"itemsize": 8}, limit={"seconds": 1.8e-3, "bound": "memory"}),
    make_row("train/vae", {"autodiff": bad("failed", "killed"), "torch": bad("not timed"), "jax": bad("not timed")}),
    make_row("overhead/add", {"autodiff": ok(5e-4), "torch": ok(6e-4, 1.2)}, count=100),
    make_row("memory/lenet", {"autodiff": ok(4e7), "torch": ok(6e7, 1.5, 0.0)}, measure="bytes"),
    *(make_row(f"scaling/width/{x}", {"autodiff": ok(1e-6 * x**2), "torch": ok(2e-6 * x, 2 / x)}, sweep=["width", x])
      for x in (10, 20, 40, 80)),
]
RESULTS: dict[str, Any] = {
    "schema": 1, "date": "2026-11-20T10:00:00+00:00", "commit": "0123456789abcdef", "dirty": True,
    "command": "python -m benchmarks 'train' --quick", "quick": True,
    "machine": {"cpu": "A <fast> CPU", "cores": 2, "memory": 24 << 30, "system": "Linux", "vector_bytes": 32,
                "limits": {"1": LIMITS, "2": LIMITS}},
    "versions": {"python": "3.12.1", "numpy": "2.4.0"}, "contenders": CONTENDERS,
    "missing": {"torch.compile": "no module 'torch'"},
    "rows": ROWS + [row | {"threads": 2} for row in ROWS[:2]],
}


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects the cells of each row, the ids, and the links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.rows: list[list[str]] = []
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.feed(text)
        assert self.opened == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, text in attributes:
            if name == "id":
                self.ids[text or ""] += 1
            if name in ("href", "src", "xlink:href"):
                self.links.append(text or "")
        if tag != "meta":
            self.opened.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.opened):
            self.rows[-1][-1] += data + " "

    def row(self, name: str) -> list[str]:
        """Return the cells behind the first one, which is `name`."""
        return next([" ".join(cell.split()) for cell in row[1:]] for row in self.rows if row and row[0].strip() == name)


@pytest.fixture(scope="module")
def page() -> str:
    return report.page(RESULTS)


def test_page_needs_no_network_and_its_links_lead_somewhere(page: str) -> None:
    reader = Reader(page)
    assert reader.links
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    assert set(re.findall(r"https?://[\w./]+", page)) <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_ids_of_the_page_are_unique(page: str) -> None:
    assert set(Reader(page).ids.values()) == {1}


def test_page_is_the_same_for_the_same_results(page: str) -> None:
    assert report.page(json.loads(json.dumps(RESULTS))) == page


def test_page_says_what_was_run_and_on_what(page: str) -> None:
    for text in ("2026-11-20", "0123456789ab with uncommitted changes", "A &lt;fast&gt; CPU", "256 bits", "24 GiB",
                 "numpy 2.4.0", "python -m benchmarks &#x27;train&#x27; --quick", "A quick run",
                 "100 GFLOP/s in float32"):
        assert text in page
    assert Reader(page).row("L1, 32 KiB") == ["200 GB/s", "190 GB/s", "210 GB/s"]


def test_rows_have_times_ratios_rates_and_statuses_in_words(page: str) -> None:
    reader = Reader(page)
    assert reader.row("lenet/b128") == [
        "1.00 ms", "60.0 GFLOP/s 60% of flops", "2.00 ms 2.00 (1.90–2.10)", "1.50 ms 1.50 (1.40–1.60)", "not installed",
        "800 µs 0.80 (0.70–0.90)", "12.0 ms 12.0 (11.9–12.1)",
    ]
    assert reader.row("gpt") == [
        "2.00 ms", "2.00 GB/s 90% of memory", "2.05 ms 1.02 (0.92–1.12)", "–", "failed: CompileError: <no compiler>",
        "wrong: 'gradient of w' differs from torch's by 3.0e-02 (allowed: 1e-04)", "–",
    ]
    assert reader.row("vae")[:4] == ["failed: killed", "", "not timed", "–"]
    assert reader.row("add") == ["5.00 µs", "6.00 µs 1.20 (1.10–1.30)"]


def test_memory_is_shown_in_bytes_and_without_an_interval(page: str) -> None:
    assert Reader(page).row("lenet") == ["40.0 MB", "60.0 MB 1.50"]


def test_whole_intervals_beside_one_are_coloured(page: str) -> None:
    assert '<span class="faster">2.00</span>' in page
    assert '<span class="slower">0.80</span>' in page
    assert "<span>1.02</span>" in page


def test_page_lists_what_went_wrong_with_the_whole_message(page: str) -> None:
    assert "<pre>CompileError: &lt;no compiler&gt;\n  in line 3</pre>" in page
    assert "train/vae, 1 thread, autodiff: " in page


def test_summary_counts_ratios_and_statuses(page: str) -> None:
    train = groups(RESULTS)[0]
    assert (train.suite, train.threads, len(train.rows)) == ("train", 1, 3)
    assert [(found.ratio, found.peer) for found in train.worst()] == [(0.8, "jax"), (1.025, "torch")]
    assert Reader(page).row("train") == [
        "1", "3", "1 failed", "1.51 100% of 2 1 not timed", "1.50 100% of 1", "1 failed, 1 not installed",
        "0.80 0% of 1 1 not timed, 1 wrong", "12.0 100% of 1",
    ]


def test_first_calls_and_differences_are_shown(page: str) -> None:
    assert "250 ms<small>12.0 MB, differs by 2e-07</small>" in page


def test_figures_follow_the_page_and_name_their_points(page: str) -> None:
    pytest.importorskip("matplotlib")
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(figures) >= 6
    assert not [code for figure in figures for code in re.findall(r"#00[cd]0\w\w", figure)]
    assert any("<title>lenet/b128: 60.0 GFLOP/s, 60% of flops</title>" in figure for figure in figures)
    assert any("autodiff: 2.00" in figure and "torch: 1.00" in figure for figure in figures)
    assert "memory divided by autodiff" in page


def test_many_rows_are_folded_and_drawn_as_a_distribution() -> None:
    rows = [make_row(f"ops/f{i}/{size}", {"autodiff": ok(1e-5), "torch": ok(1e-5, 0.5 + i / 20)}, cost=COST,
                     limit={"seconds": 6e-6, "bound": "flops"}) for i in range(50) for size in ("small", "large")]
    text = report.page(RESULTS | {"rows": rows})
    Reader(text)
    assert "<summary>All 100 cases</summary>" in text
    if plots.available():
        assert "80 of 100 from 1 on" in text


def test_page_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "available", lambda: False)
    text = report.page(RESULTS)
    Reader(text)
    assert "<svg" not in text
    assert "autodiff-tape[plots]" in text


def test_page_of_a_run_that_was_interrupted_at_once() -> None:
    assert "Nothing was measured" in report.page(RESULTS | {"rows": []})
    assert report.summary(RESULTS | {"rows": []}) == "Nothing was measured."


def test_line_is_one_line() -> None:
    assert report.line(ROWS[0]) == (
        "train/lenet/b128, 1 thread:  autodiff 1.00 ms (60.0 GFLOP/s, 60% of flops)  |  torch 2.00 (1.90 to 2.10)  |  "
        "torch channels_last 1.50 (1.40 to 1.60)  |  torch.compile not installed  |  jax 0.80 (0.70 to 0.90)  |  "
        "numpy 12.0 (11.9 to 12.1)"
    )
    assert report.line(ROWS[1]).count("\n") == 0
    assert report.line(ROWS[4]) == "memory/lenet, 1 thread:  autodiff 40.0 MB  |  torch 1.50"


def test_summary_on_the_terminal() -> None:
    text = report.summary(RESULTS)
    assert re.search(r"^train +1 +3 +1\.51 \(100% of 2\), 1 not timed ", text, re.MULTILINE)
    assert "   0.03  scaling/width/80, 1 thread, torch" in text
    assert "Wrong or failed: 5" in text
    assert "train/vae, 1 thread, autodiff failed: killed" in text


def test_exponents_are_those_of_the_powers() -> None:
    group = next(group for group in groups(RESULTS) if group.suite == "scaling")
    found = {(curve.series, curve.contender): curve for curve in curves(group)}
    assert list(found) == [("width", "autodiff"), ("width", "torch")]
    assert found["width", "autodiff"].exponent == pytest.approx(2)
    assert found["width", "torch"].exponent == pytest.approx(1)
    assert found["width", "torch"].x == [10, 20, 40, 80]
    assert found["width", "torch"].unit == "seconds"


def test_the_curve_over_threads_goes_through_all_groups() -> None:
    rows = [
        make_row("scaling/threads/gpt", {"autodiff": ok(1 / count), "jax": ok(2.0, 2.0)}, threads=count,
                 sweep=["threads/gpt", None])
        for count in (1, 2, 4)
    ]
    found = groups(RESULTS | {"rows": rows})
    assert [curves(group) for group in found] == [[], [], []]
    across = across_threads(found)
    assert across is not None
    assert [(curve.series, curve.x) for curve in curves(across)] == [("threads/gpt", [1, 2, 4])] * 2
    assert [curve.exponent for curve in curves(across)] == [pytest.approx(-1), pytest.approx(0)]
    assert across_threads(found[:1]) is None
    assert "against threads" in report.page(RESULTS | {"rows": rows})


def test_exponent_is_a_least_squares_fit() -> None:
    assert exponent([1, 10, 100], [1, 100, 100]) == pytest.approx(1)
    assert exponent([5, 5], [1, 2]) is None
    assert exponent([], []) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (words.seconds(1.234e-9), "1.23 ns"), (words.seconds(0.0), "0 ns"), (words.seconds(123.4), "123 s"),
        (words.seconds(2.5e-5), "25.0 µs"), (words.size(999), "999 bytes"), (words.size(1.5e9), "1.50 GB"),
        (words.capacity(512 << 10), "512 KiB"), (words.capacity(24 << 30), "24 GiB"), (words.ratio(0.999), "1.00"),
        (words.ratio(1234.5), "1230"), (words.digits(-0.01234), "-0.0123"), (words.threads(2), "2 threads"),
        (words.seconds(9.999e-4), "1.00 ms"), (words.digits(99.97), "100"), (words.digits(0.0), "0"),
    ],
)
def test_numbers_in_words(found: str, expected: str) -> None:
    assert found == expected


def run_readme(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, results: dict[str, Any]) -> Path:
    file = folder / "README.md"
    file.write_text(text)
    file.chmod(0o640)
    (folder / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(sys, "argv", ["readme", str(folder / "results.json"), "--file", str(file)])
    readme.main()
    return file


def test_readme_gets_the_tables_between_the_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"# Title\n{readme.BEGIN}\nold\n{readme.END}\n\nEnd\n"
    file = run_readme(tmp_path, monkeypatch, text, RESULTS)
    written = file.read_text()
    assert "| 1 thread, ms a step | autodiff | PyTorch | ratio | torch.compile | ratio | JAX | ratio |" in written
    assert "| lenet/b128 | 1.00 | 1.50¹ | 1.50 | not installed |  | 0.800 | 0.80 |" in written
    assert "| gpt | 2.00 | 2.05 | 1.02 | failed |  | wrong |  |" in written
    assert "| vae | failed | not timed |  | – |  | not timed |  |" in written
    assert "| 2 threads, ms a step |" in written
    assert "¹ channels-last images" in written
    assert "2026-11-20 on A <fast> CPU, 2 cores" in written
    assert "commit 0123456789 with uncommitted changes" in written
    assert "old" not in written
    assert written.startswith("# Title\n")
    assert written.endswith(f"{readme.END}\n\nEnd\n")
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "results.json"]
    assert run_readme(tmp_path, monkeypatch, written, RESULTS).read_text() == written


@pytest.mark.parametrize(
    ("text", "rows", "message"),
    [
        ("no comments", ROWS, "must have the lines"),
        (f"{readme.END}{readme.BEGIN}", ROWS, "in this order"),
        (f"{readme.BEGIN}{readme.END}", ROWS[3:], "no row of the suite train"),
    ],
)
def test_readme_is_left_alone_where_something_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, rows: list[Any], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        run_readme(tmp_path, monkeypatch, text, RESULTS | {"rows": rows})
    assert (tmp_path / "README.md").read_text() == text


def test_the_readme_of_the_project_has_the_comments() -> None:
    assert readme.replaced(readme.README.read_text(encoding="utf-8"), "new").count("new\n" + readme.END) == 1
