"""What a run found, as Markdown: for the terminal and, between markers, for docs/performance.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.chart import draw
from tests.bench.engines import FLOOR, GO, LARGE, OPERATIONS, OURS, SMALL, TITLES

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZES = {"300 B": 300, "4 kB": 4_000, "40 kB": 40_000}
SHORT, LONG = "300 B", "40 kB"
#: Bytes that a process may grow by for each session it serves: less than the token alone takes.
NOTHING = 43

Results = dict[str, Any]
Row = tuple[str, float | None, str, float]

_ANY = ("mysql", "postgresql", "sqlite")
# Operation, what it is compared with, the limit of the ratio on each database. Against the bare
# driver the ratio is ours / theirs and a maximum, against all others theirs / ours and a minimum.
_TARGETS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("read", "db", dict.fromkeys(_ANY, 3.5)),
    ("read", "cache", {"mysql": 1}),
    ("read", FLOOR, {"mysql": 1.6, "postgresql": 1.6, "sqlite": 3}),
    ("change", "db", dict.fromkeys(_ANY, 3.5)),
    ("change", "cache", {"mysql": 1}),
    ("change", FLOOR, {"mysql": 1.3}),
    ("create", "db", dict.fromkeys(_ANY, 4)),
    ("login", "db", dict.fromkeys(_ANY, 4)),
    ("idle", GO, {"mysql": 3}),
    ("idle", "db", dict.fromkeys(_ANY, 5)),
    ("read", GO, {"mysql": 1}),
    ("change", GO, {"mysql": 1}),
    ("create", GO, {"mysql": 1}),
    ("login", GO, {"mysql": 1}),
)
_STORED = [key for key in OPERATIONS if key != "anonymous"]


def _median(results: Results, size: str, table: str, operation: str, key: str) -> float | None:
    figures = results["engine"].get(size, {}).get(table, {}).get(operation, {}).get(key)
    return figures[0] if figures else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def target_rows(results: Results) -> Iterator[Row]:
    """Yield what is compared, the figure (None if it was not measured), and what it should be."""
    for operation, key, limits in _TARGETS:
        limit = limits.get(results["vendor"])
        if limit is None:
            continue
        title = f"{OPERATIONS[operation].title}: "
        ours = _median(results, SHORT, SMALL, operation, OURS)
        theirs = _median(results, SHORT, SMALL, operation, key)
        if key == FLOOR:
            yield f"{title}ours / {TITLES[key]}", _ratio(ours, theirs), "at most", limit
        else:
            yield f"{title}{TITLES[key]} / ours", _ratio(theirs, ours), "at least", limit
    many, few = (f"{results['rows'][table]:,}" for table in (LARGE, SMALL))
    for operation in _STORED:
        found = [_median(results, SHORT, table, operation, OURS) for table in (LARGE, SMALL)]
        title = f"{OPERATIONS[operation].title}: {many} rows / {few} rows"
        yield title, _ratio(*found), "at most", 1.3
    for operation in _STORED:
        found = [_median(results, LONG, SMALL, operation, key) for key in ("db", OURS)]
        title = f"{OPERATIONS[operation].title}, {LONG}: {TITLES['db']} / ours"
        yield title, _ratio(*found), "at least", 1
    memory = results.get("memory")
    growth = memory["bytes"] / memory["sessions"] if memory else None
    yield "memory: bytes a session", growth, "at most", NOTHING


def verdict(value: float | None, sign: str, limit: float) -> str:
    """Return met or missed, as the figure is shown, or that there is no figure."""
    if value is None:
        return "not measured"
    return (
        "met" if (round(value, 2) >= limit if sign == "at least" else value <= limit) else "missed"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, aligned so that it can be read as it is."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    return "\n".join([line(header), line(rule), *map(line, rows)])


def _matrix(figures: dict[str, dict[str, Any]], cell: Callable[[str, str], str]) -> str:
    engines = [key for key in TITLES if any(key in found for found in figures.values())]
    rows = [[TITLES[key], *(cell(operation, key) for operation in figures)] for key in engines]
    return table(["", *(OPERATIONS[key].title for key in figures)], rows)


def _medians(figures: dict[str, dict[str, list[float]]]) -> str:
    def cell(operation: str, key: str) -> str:
        found = figures[operation].get(key)
        return "{:.0f} ({:.0f}-{:.0f})".format(*found) if found else ""

    return _matrix(figures, cell)


def _ratios(figures: dict[str, dict[str, list[float]]]) -> str:
    def cell(operation: str, key: str) -> str:
        found = figures[operation].get(key)
        return f"{found[0] / figures[operation][OURS][0]:.2f}" if found else ""

    return _matrix({key: found for key, found in figures.items() if key != "anonymous"}, cell)


def _counts(counts: dict[str, dict[str, str]]) -> str:
    return _matrix(counts, lambda operation, key: counts[operation].get(key, ""))


def _growth(results: Results) -> str:
    """Return our medians by size and table alone, so that the growth is seen at a glance."""
    rows = []
    for size, by_table in results["engine"].items():
        for name, figures in by_table.items():
            medians = [f"{figures[key][OURS][0]:.0f}" for key in _STORED]
            rows.append([f"{size}, {results['rows'][name]:,} rows", *medians])
    return table(["", *(OPERATIONS[key].title for key in _STORED)], rows)


def _concurrency(results: Results) -> str:
    header = ["", "requests / s", "p50, ms", "p99, ms", "errors"]
    keys = ("requests_per_second", "p50", "p99", "errors")
    rows = [
        [f"{TITLES[found['engine']]}, {found['server']}", *(str(found[key]) for key in keys)]
        for found in results["concurrency"]
    ]
    return table(header, rows)


def sections(results: Results) -> Iterator[tuple[str, str]]:
    """Yield the titles and the texts of a run's report."""
    yield "The run", table(["", ""], [[k, str(v)] for k, v in results["environment"].items()])
    rows = [
        [title, "-" if value is None else f"{value:.2f}", f"{sign} {limit:g}", word]
        for title, value, sign, limit in target_rows(results)
        for word in [verdict(value, sign, limit)]
    ]
    yield "Targets", table(["", "measured", "target", ""], rows)
    for size, by_table in results["engine"].items():
        for name, figures in by_table.items():
            where = f"{size}, {results['rows'][name]:,} rows"
            yield f"Engine level, {where}: microseconds, median (quartiles)", _medians(figures)
            yield f"Engine level, {where}: theirs / ours", _ratios(figures)
    yield "How ours grows: microseconds", _growth(results)
    figures = results["request"]
    yield f"Request level, {SHORT}: microseconds, median (quartiles)", _medians(figures)
    yield f"Request level, {SHORT}: theirs / ours", _ratios(figures)
    for level, counts in results["statements"].items():
        yield f"Statements at {level} level (+ Redis commands)", _counts(counts)
    if results.get("concurrency"):
        yield "Concurrency: Snippetbox under gunicorn", _concurrency(results)
    if memory := results.get("memory"):
        text = "{bytes:,} bytes and {objects:,} objects more after {sessions:,} sessions"
        yield "Memory", text.format(**memory)
    if results["skipped"]:
        yield "Not measured", "\n".join(f"- {what}" for what in results["skipped"])


def write_docs(results: Results) -> list[Path]:
    """Put a run into docs/performance.md, in the place of the last one on that database."""
    vendor, page = results["vendor"], DOCS / "performance.md"
    body = "\n\n".join(f"### {title}\n\n{text}" for title, text in sections(results))
    marked = re.compile(rf"(<!-- {vendor}: begin -->\n).*?(<!-- {vendor}: end -->)", re.DOTALL)
    if vendor == "mysql":
        body = f"![What a session costs, by engine](performance.svg)\n\n{body}"
    text, places = marked.subn(lambda found: f"{found[1]}\n{body}\n\n{found[2]}", page.read_text())
    assert places == 1, f"{page} has {places} places for {vendor}"
    page.write_text(text)
    if vendor != "mysql":
        return [page]
    picture = page.with_suffix(".svg")
    picture.write_text(draw(results["engine"][SHORT][SMALL]))
    return [page, picture]
