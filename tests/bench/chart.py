"""The chart of docs/performance.md: one small bar chart for each operation, as SVG written by hand."""

from __future__ import annotations

from html import escape

from tests.bench.engines import FLOOR, GO, OPERATIONS, OURS, TITLES

_OPERATIONS = ("read", "change", "create", "flash", "login", "idle")
_ENGINES = (OURS, GO, "cache", "cached_db", "db", "user_sessions")
_COLUMNS = 2
_WIDTH, _PANEL, _BARS_AT, _BARS = 920, 430, 180, 165
_HEAD, _ROW, _BAR, _GAP = 66, 21, 14, 46

# The card brings its own background, so that it reads well whatever the page's is.
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: var(--text) }
  .title { font-size: 17px; font-weight: 600 }
  .name { font-weight: 600; font-size: 14px }
  .faint { fill: var(--faint); font-size: 12px }
  .ours { font-weight: 600 }
  .value { paint-order: stroke; stroke: var(--card); stroke-width: 5px; stroke-linejoin: round }
  svg { --card: #ffffff; --text: #1f2328; --faint: #59636e; --bar: #c3cad2; --ours: #0b7a5b }
  @media (prefers-color-scheme: dark) {
    svg { --card: #12171d; --text: #e6edf3; --faint: #9aa5b1; --bar: #46505b; --ours: #2fbf93 }
  }
"""


def draw(figures: dict[str, dict[str, list[float]]]) -> str:
    """Return the chart of the medians (microseconds) by operation and engine."""
    panels = [key for key in _OPERATIONS if key in figures]
    engines = [key for key in _ENGINES if key in figures[panels[0]]]
    height = _GAP + len(engines) * _ROW
    rows = -(-len(panels) // _COLUMNS)
    total = _HEAD + rows * height + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {total}" role="img">',
        "<title>Microseconds for each operation on a session, by engine</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{total}" rx="8" style="fill: var(--card)"/>',
        '<text class="title" x="24" y="32">What a session costs: microseconds on MariaDB</text>',
        '<text class="faint" x="24" y="52">Medians at 300 bytes, and how many times as long as'
        " django_scs. The line marks the bare driver with the same statements.</text>",
    ]
    for number, operation in enumerate(panels):
        x = 24 + number % _COLUMNS * (_PANEL + 20)
        y = _HEAD + number // _COLUMNS * height
        title = OPERATIONS[operation].title
        parts += _panel(x, y, title, figures[operation], engines)
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    x: int, y: int, title: str, figures: dict[str, list[float]], engines: list[str]
) -> list[str]:
    """Return one operation. Its bars have a scale of their own, which begins at zero."""
    longest = max(figures[key][0] for key in engines)
    ours = figures[OURS][0]
    top = y + 36
    floor = x + _BARS_AT + figures[FLOOR][0] / longest * _BARS
    bottom = top + (len(engines) - 1) * _ROW + _BAR
    bars, texts = (
        [],
        [f'<text class="name" x="{x}" y="{y + 26}">{escape(title.capitalize())}</text>'],
    )
    for number, key in enumerate(engines):
        median = figures[key][0]
        width = max(median / longest * _BARS, 1)
        bar = top + number * _ROW
        text = bar + _BAR - 3
        mine = key == OURS
        name, kind = ("django_scs", "ours") if mine else (TITLES[key], "bar")
        note = "" if mine else f'<tspan class="faint" dx="6">{median / ours:.1f}x</tspan>'
        bars.append(
            f'<rect x="{x + _BARS_AT}" y="{bar}" width="{width:.1f}" height="{_BAR}" rx="2"'
            f' style="fill: var(--{kind})"/>'
        )
        texts += [
            f'<text class="{kind}" x="{x}" y="{text}">{escape(name)}</text>',
            f'<text class="{kind} value" x="{x + _BARS_AT + width + 6:.1f}" y="{text}">'
            f"{median:,.0f}{note}</text>",
        ]
    line = (
        f'<line x1="{floor:.1f}" x2="{floor:.1f}" y1="{top - 3}" y2="{bottom + 3}"'
        ' style="stroke: var(--text); stroke-width: 1.5; stroke-dasharray: 3 2"/>'
    )
    # The texts come last, so that the line never crosses a figure.
    return [*bars, line, *texts]
