"""What a run found, as Markdown: for the terminal and, between markers, for the pages in docs/."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.bench.chart import draw
from tests.bench.engines import (
    BLIND,
    CURSOR,
    FLOOR,
    GO,
    LARGE,
    OPERATIONS,
    OURS,
    PREPARED,
    SMALL,
    STORE,
    TITLES,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
SIZES = {"300 B": 300, "4 kB": 4_000, "40 kB": 40_000}
SHORT, LONG = "300 B", "40 kB"
#: Bytes that a process may grow by for each session it serves: less than the token alone takes.
NOTHING = 43
#: Shares of a profile below this are left out.
_WORTH_NAMING: Final = 0.03
AT_LEAST, AT_MOST = "at least", "at most"
_SQL = ("mysql", "postgresql", "sqlite")

Results = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A median of a run: of an engine at an operation, by the size of the session and the table."""

    key: str
    operation: str
    size: str = SHORT
    table: str = SMALL

    def of(self, results: Results) -> float | None:
        by_table = results["engine"].get(self.size, {})
        found = by_table.get(self.table, {}).get(self.operation, {}).get(self.key)
        return found[0] if found else None

    def title(self, results: Results) -> str:
        name = "ours" if self.key == OURS else TITLES[self.key]
        if self.table == PREPARED:
            name += ", prepared"
        return f"{name}, {results['rows'][LARGE]:,} rows" if self.table == LARGE else name


@dataclass(frozen=True)
class Target:
    """What the ratio of two figures should be on some databases."""

    one: Figure
    other: Figure
    sign: str
    limits: dict[str, float]

    def title(self, results: Results) -> str:
        size = "" if self.one.size == SHORT else f", {self.one.size}"
        what = f"{OPERATIONS[self.one.operation].title}{size}"
        return f"{what}: {self.one.title(results)} / {self.other.title(results)}"


def _ahead(
    operation: str, of: str, limits: dict[str, float], size: str = SHORT, table: str = SMALL
) -> Target:
    """Return the target that ours is so many times as fast as another."""
    return Target(
        Figure(of, operation, size), Figure(OURS, operation, size, table), AT_LEAST, limits
    )


def _near(
    operation: str, to: str, limits: dict[str, float], size: str = SHORT, table: str = SMALL
) -> Target:
    """Return the target that ours takes at most so many times as long as another."""
    return Target(
        Figure(OURS, operation, size, table), Figure(to, operation, size), AT_MOST, limits
    )


_STORED: Final = [key for key in OPERATIONS if key != "anonymous"]
_TARGETS: Final = (
    _ahead("read", "db", dict.fromkeys(_SQL, 3.5)),
    _ahead("read", "cache", {"mysql": 1, "redis": 1.6}),
    _near("read", FLOOR, {"mysql": 1.6, "postgresql": 1.6, "sqlite": 3, "redis": 1.6}),
    _ahead("change", "db", dict.fromkeys(_SQL, 3.5)),
    _ahead("change", "cache", {"mysql": 1, "redis": 1.6}),
    _near("change", FLOOR, {"mysql": 1.3}),
    _ahead("create", "db", dict.fromkeys(_SQL, 4)),
    _ahead("create", "cache", {"redis": 1.6}),
    _ahead("login", "db", dict.fromkeys(_SQL, 4)),
    _ahead("login", "cache", {"redis": 1.6}),
    _ahead("idle", GO, {"mysql": 3}),
    _ahead("idle", "db", dict.fromkeys(_SQL, 5)),
    *(_ahead(key, GO, {"mysql": 1}) for key in ("read", "change", "create", "login")),
    *(_near(key, GO, {"redis": 1.5}) for key in ("read", "change", "create", "login")),
    _ahead("read", "db", {"postgresql": 3}, table=PREPARED),
    _near("read", FLOOR, {"postgresql": 0.75}, table=PREPARED),
    _near("change", BLIND, {"mysql": 1.2}, LONG),
    _ahead("change", "db", {"mysql": 1.8, "postgresql": 1, "sqlite": 1}, LONG),
    *(_ahead(key, "db", dict.fromkeys(_SQL, 1), LONG) for key in _STORED if key != "change"),
    *(
        Target(Figure(OURS, key, table=LARGE), Figure(OURS, key), AT_MOST, dict.fromkeys(_SQL, 1.3))
        for key in _STORED
    ),
)


@dataclass(frozen=True)
class Row:
    """A target and what became of it."""

    title: str
    value: float | None
    sign: str
    limit: float
    reason: str = ""

    @property
    def verdict(self) -> str:
        return verdict(self.value, self.sign, self.limit)


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def target_rows(results: Results) -> Iterator[Row]:
    """Yield each target of the run's database, with its figure, or None if it was not measured."""
    for target in _TARGETS:
        limit = target.limits.get(results["vendor"])
        if limit is not None:
            value = _ratio(target.one.of(results), target.other.of(results))
            title = target.title(results)
            yield Row(title, value, target.sign, limit, _reason(results, target))
    yield from _served_rows(results)
    if memory := results.get("memory"):
        growth = memory["bytes"] / memory["sessions"]
        reason = f"{memory['objects']:,} live objects more, the rest is what malloc keeps"
        yield Row("memory: bytes a session", growth, AT_MOST, NOTHING, reason)


def _served_rows(results: Results) -> Iterator[Row]:
    """Yield whether async views gain as much as sync ones, and make the fewest hops."""
    served = results.get("served")
    if not served:
        return
    for operation, figures in served["asgi"].items():
        if operation == "anonymous":
            # What the others are measured against, below.
            continue
        other = "db" if "db" in figures else "cache"
        ratios, reasons = {}, []
        for kind in ("asgi", "wsgi"):
            ms = {key: served[kind][operation][key]["ms"] for key in (OURS, other)}
            ratios[kind] = ms[other] / ms[OURS]
            without = served[kind]["anonymous"][OURS]["ms"]
            reasons.append(
                f"under {kind.upper()} {without:.2f} of our {ms[OURS]:.2f} and their {ms[other]:.2f} ms"
                " go without any session"
            )
        title = f"{OPERATIONS[operation].title}, async view: {TITLES[other]} / ours, as under WSGI"
        limit = round(ratios["wsgi"], 2)
        yield Row(title, ratios["asgi"], AT_LEAST, limit, "; ".join(reasons))
        fewest = min(found["hops"] for key, found in figures.items() if key != OURS)
        title = f"{OPERATIONS[operation].title}, async view: hops of ours, of the others {fewest}"
        yield Row(title, figures[OURS]["hops"], AT_MOST, fewest)


def _reason(results: Results, target: Target) -> str:
    """Return why it is missed: what the driver alone would reach, and whose code takes the rest."""
    ours = target.one if target.one.key == OURS else target.other
    floor = replace(ours, key=FLOOR)
    parts = []
    if floor not in (target.one, target.other):
        pair = [floor if figure is ours else figure for figure in (target.one, target.other)]
        alone = _ratio(pair[0].of(results), pair[1].of(results))
        parts += [] if alone is None else [f"the bare driver alone: {alone:.2f}"]
    if layers := _layers(results, ours):
        parts.append(layers)
    by_table = results.get("profile", {}).get(ours.size, {})
    if shares := by_table.get(ours.table, {}).get(ours.operation):
        texts = [f"{owner} {part:.0%}" for owner, part in shares.items() if part >= _WORTH_NAMING]
        parts.append(f"by profile {', '.join(texts)}")
    return "; ".join(parts)


def _layers(results: Results, ours: Figure) -> str:
    """Return the microseconds that each layer adds, by the medians of the lanes."""
    layers = [(FLOOR, "driver and server"), (CURSOR, "Django's cursor"), (STORE, "store")]
    parts, before = [], 0.0
    for key, title in [*layers, (OURS, "session and codec")]:
        median = replace(ours, key=key).of(results)
        if median is not None:
            parts.append(f"{title} {median - before:.0f}")
            before = median
    return f"{before:.0f} us are {', '.join(parts)}" if len(parts) > 2 else ""


def verdict(value: float | None, sign: str, limit: float) -> str:
    """Return met or MISSED, as the figure is shown, or that there is no figure."""
    if value is None:
        return "not measured"
    met = round(value, 2) >= limit if sign == AT_LEAST else round(value, 2) <= limit
    return "met" if met else "MISSED"


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
            rows.append([f"{size}, {_where(results, name)}", *medians])
    return table(["", *(OPERATIONS[key].title for key in _STORED)], rows)


def _where(results: Results, name: str) -> str:
    """Return how a reader tells one table from another."""
    if name == PREPARED:
        return "prepared statements"
    rows = results["rows"][name]
    return f"{rows:,} rows" if rows else "Redis"


def _served(results: Results) -> str:
    header = ["", *(f"{title}, {what}" for what in ("ms", "CPU, ms", "hops") for title in _SERVED)]
    rows = []
    for operation in results["served"]["asgi"]:
        for key in results["served"]["asgi"][operation]:
            found = [results["served"][kind][operation][key] for kind in ("asgi", "wsgi")]
            rows.append(
                [
                    f"{OPERATIONS[operation].title}, {TITLES[key]}",
                    *(f"{each['ms']:.2f}" for each in found),
                    *(f"{each['cpu']:.2f}" for each in found),
                    *(str(each["hops"]) for each in found),
                ]
            )
    return table(header, rows)


_SERVED: Final = ("ASGI", "WSGI")


def _concurrency(results: Results) -> str:
    header = ["", "requests / s", "p50, ms", "p99, ms", "errors"]
    keys = ("requests_per_second", "p50", "p99", "errors")
    rows = [
        [f"{TITLES[found['engine']]}, {found['server']}", *(str(found[key]) for key in keys)]
        for found in results["concurrency"]
    ]
    return table(header, rows)


def _targets(results: Results) -> str:
    found = list(target_rows(results))
    rows = [
        [
            row.title,
            "-" if row.value is None else f"{row.value:.2f}",
            f"{row.sign} {row.limit:g}",
            row.verdict,
        ]
        for row in found
    ]
    met = sum(row.verdict == "met" for row in found)
    parts = [table(["", "measured", "target", ""], rows), f"{met} of {len(found)} are met."]
    missed = [row for row in found if row.verdict == "MISSED"]
    if missed:
        parts.append("Why not the others:")
        parts.append("\n".join(f"- {row.title}: {row.reason or 'no profile'}." for row in missed))
    return "\n\n".join(parts)


def sections(results: Results) -> Iterator[tuple[str, str]]:
    """Yield the titles and the texts of a run's report."""
    yield "The run", table(["", ""], [[k, str(v)] for k, v in results["environment"].items()])
    yield "Targets", _targets(results)
    for size, by_table in results["engine"].items():
        for name, figures in by_table.items():
            where = f"{size}, {_where(results, name)}"
            yield f"Engine level, {where}: microseconds, median (quartiles)", _medians(figures)
            yield f"Engine level, {where}: theirs / ours", _ratios(figures)
    yield "How ours grows: microseconds", _growth(results)
    if figures := results.get("request"):
        yield f"Request level, {SHORT}: microseconds, median (quartiles)", _medians(figures)
        yield f"Request level, {SHORT}: theirs / ours", _ratios(figures)
    if results.get("served"):
        yield "Served over HTTP, async and sync views, one request at a time", _served(results)
    for level, counts in results.get("statements", {}).items():
        yield f"Statements at {level} level (+ Redis commands)", _counts(counts)
    if results.get("concurrency"):
        yield "Concurrency: Snippetbox under gunicorn", _concurrency(results)
    if memory := results.get("memory"):
        text = "{bytes:,} bytes and {objects:,} objects more after {sessions:,} sessions"
        yield "Memory", text.format(**memory)
    if results["skipped"]:
        yield "Not measured", "\n".join(f"- {what}" for what in results["skipped"])


_SUMMARY: Final = (OURS, "cache", "db", GO, FLOOR)


def summary(results: Results) -> str:
    """Return the one table of a store: our microseconds, and how many times as long the others take."""
    figures = results["engine"][SHORT][SMALL]
    others = [key for key in _SUMMARY if key != OURS and key in figures["read"]]
    header = ["", "django_scs, us", *(TITLES[key] for key in others)]
    if prepared := results["engine"][SHORT].get(PREPARED):
        header.insert(2, "prepared, us")
    rows = []
    for operation in _STORED:
        found = figures[operation]
        cells = [f"{found[OURS][0]:.0f}"]
        if prepared:
            cells.append(f"{prepared[operation][OURS][0]:.0f}")
        cells += [f"{found[key][0] / found[OURS][0]:.1f}x" for key in others]
        rows.append([OPERATIONS[operation].title, *cells])
    return table(header, rows)


def write_docs(results: Results) -> list[Path]:
    """Put a run into the pages, in the place of the last one on that database."""
    vendor = results["vendor"]
    body = "\n\n".join(f"### {title}\n\n{text}" for title, text in sections(results))
    written = [
        _put(DOCS / "performance.md", vendor, summary(results)),
        _put(DOCS / "performance-tables.md", vendor, body),
    ]
    if vendor == "mysql":
        picture = DOCS / "performance.svg"
        picture.write_text(draw(results["engine"][SHORT][SMALL]))
        written.append(picture)
    return written


def _put(page: Path, vendor: str, body: str) -> Path:
    marked = re.compile(rf"(<!-- {vendor}: begin -->\n).*?(<!-- {vendor}: end -->)", re.DOTALL)
    text, places = marked.subn(lambda found: f"{found[1]}\n{body}\n\n{found[2]}", page.read_text())
    assert places == 1, f"{page} has {places} places for {vendor}"
    page.write_text(text)
    return page
