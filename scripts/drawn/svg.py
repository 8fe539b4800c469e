"""Pieces of SVG: boxes, lines, texts that fit."""

from collections.abc import Iterable
from html import escape
from unicodedata import east_asian_width

DIM = "#8e8e9a"
FONT = "Inter, 'Noto Sans CJK SC', 'Microsoft YaHei', 'Helvetica Neue', Arial, sans-serif"
_WIDE, _NARROW = 1.0, 0.55


def box(x: float, y: float, w: float, h: float, fill: str, *, stroke: str = "none", rx: float = 2) -> str:
    """Draw a box."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, w):.1f}" height="{max(0.0, h):.1f}" rx="{rx}" '
        f'fill="{fill}" stroke="{stroke}"/>'
    )


def text(
    x: float, y: float, words: str, *, size: float = 12, fill: str = "#ccccdc", anchor: str = "start",
    bold: bool = False, room: float = 0.0,
) -> str:  # fmt: skip
    """Write words; `room`: pixels they may take, the rest is cut."""
    shown = cut(words, room / size) if room else words
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"{weight}>'
        f"{escape(shown)}</text>"
    )


def path(points: Iterable[tuple[float, float]], stroke: str, *, width: float = 1.2, dash: str = "") -> str:
    """Draw a line through points."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{steps}" fill="none" stroke="{stroke}" stroke-width="{width}"{dashed}/>'


def area(points: list[tuple[float, float]], base_y: float, fill: str, opacity: float) -> str:
    """Fill what lies below a line."""
    if not points:
        return ""
    closed = [(points[0][0], base_y), *points, (points[-1][0], base_y)]
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in closed)
    return f'<polygon points="{steps}" fill="{fill}" fill-opacity="{opacity:.2f}"/>'


def dot(x: float, y: float, r: float, fill: str) -> str:
    """Draw a sign on a map."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}" fill="{fill}" fill-opacity="0.85" stroke="#ffffff"/>'


def width_of(words: str) -> float:
    """Estimate how wide words are, in heights of a letter."""
    return sum(_WIDE if east_asian_width(sign) in "WF" else _NARROW for sign in words)


def cut(words: str, room: float) -> str:
    """Cut words that are wider than `room` letters' heights."""
    if width_of(words) <= room:
        return words
    kept = ""
    for sign in words:
        if width_of(kept + sign) + _WIDE > room:
            break
        kept += sign
    return kept + "…"


def readable_on(fill: str) -> str:
    """Choose black or white for words on a colour "#rrggbb"."""
    if not fill.startswith("#"):
        return "#ffffff"
    red, green, blue = (int(fill[at : at + 2], 16) for at in (1, 3, 5))
    return "#111217" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"  # noqa: PLR2004
