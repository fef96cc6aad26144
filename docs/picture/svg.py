"""Shapes and words of an SVG, as text. Every length is in pixels of a picture 1200 wide."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TITLE_SIZE, LINE_SIZE, LABEL_SIZE = 16, 14, 14
LINE_HEIGHT = 19
# Width of a letter by its height in DejaVu Sans, the widest of the fonts that may come up.
LETTER, BOLD_LETTER = 0.6, 0.68
PADDING = 12
PILE = 5  # what looks out from under a card
INK, FAINT_INK, WHITE = "#1f2328", "#424a53", "#ffffff"


class Point(NamedTuple):
    x: float
    y: float


@dataclass(frozen=True)
class Box:
    """A rectangle, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> Point:
        return Point(self.x + self.width / 2, self.y + self.height / 2)


@dataclass(frozen=True)
class Card:
    """What a thing is, and lines about it."""

    title: str
    lines: Sequence[str]


def fit(words: str, width: float, size: int, *, bold: bool = False) -> str:
    """The words, with an ellipsis where they would be wider than `width`."""
    room = int(width / (size * (BOLD_LETTER if bold else LETTER)))
    return words if len(words) <= room else words[: max(0, room - 1)].rstrip() + "…"


def label(
    words: str,
    at: tuple[float, float],
    *,
    color: str,
    width: float,
    size: int = LABEL_SIZE,
    bold: bool = False,
    anchor: str = "start",
) -> str:
    """One line of words; its base line starts, has its middle, or ends at `at`."""
    x, y = at
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" text-anchor="{anchor}"'
        f"{weight}>{escape(fit(words, width, size, bold=bold))}</text>"
    )


def rectangle(box: Box, *, fill: str, color: str, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="7" '
        f'fill="{fill}" stroke="{color}" stroke-width="1.5"{dash}/>'
    )


def frame(
    box: Box, name: str, *, color: str, name_x: float, fill: str = "none", dashed: bool = False
) -> str:
    """A border around other things, with its name at the top."""
    width = box.right - name_x - PADDING
    at = Point(name_x, box.y + 19)
    words = label(name, at, color=color, width=width, bold=True)
    return rectangle(box, fill=fill, color=color, dashed=dashed) + "\n" + words


def card(
    box: Box,
    words: Card,
    *,
    color: str,
    dashed: bool = False,
    pile: bool = False,
    indent: float = 0,
) -> str:
    """A thing with its words; a `pile` of them if there are several. `indent` leaves an icon room."""
    x, width = box.x + PADDING + indent, box.width - 2 * PADDING - indent
    y = box.middle.y - LINE_HEIGHT * len(words.lines) / 2 + TITLE_SIZE / 3
    shapes = [rectangle(box, fill=WHITE, color=color, dashed=dashed)]
    if pile:
        behind = Box(box.x + PILE, box.y + PILE, box.width, box.height)
        shapes.insert(0, rectangle(behind, fill=WHITE, color=color))
    title = label(words.title, (x, y), color=INK, width=width, size=TITLE_SIZE, bold=True)
    shapes.append(title)
    for number, line in enumerate(words.lines, 1):
        at = (x, y + number * LINE_HEIGHT)
        shapes.append(label(line, at, color=FAINT_INK, width=width, size=LINE_SIZE))
    return "\n".join(shapes)


def cylinder(box: Box, *, color: str) -> str:
    """The sign for something that keeps data."""
    rx, ry = box.width / 2, box.width / 6
    return (
        f'<path d="M{box.x:g} {box.y + ry:g} a{rx:g} {ry:g} 0 0 1 {box.width:g} 0 '
        f"v{box.height - 2 * ry:g} a{rx:g} {ry:g} 0 0 1 {-box.width:g} 0 z "
        f'm0 0 a{rx:g} {ry:g} 0 0 0 {box.width:g} 0" fill="none" stroke="{color}" '
        f'stroke-width="2"/>'
    )


def arrow(way: Sequence[Point], color: str, *, rim: bool = True) -> str:
    """A line to the last point of its way; a white `rim` sets it off from what it crosses."""
    path = "M" + " L".join(f"{x:g} {y:g}" for x, y in way)
    under = f'<path d="{path}" fill="none" stroke="{WHITE}" stroke-width="6"/>\n' if rim else ""
    return (
        f'{under}<path d="{path}" fill="none" stroke="{color}" stroke-width="2" '
        f'marker-end="url(#{_head(color)})"/>'
    )


def document(
    size: tuple[float, float],
    title: str,
    description: str,
    colors: Iterable[str],
    shapes: Iterable[str],
) -> str:
    """The whole SVG. Arrows have one of the `colors`."""
    width, height = size
    heads = "\n".join(
        f'<marker id="{_head(color)}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="10" '
        f'markerHeight="10" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0 L10 5 L0 10 z" fill="{color}"/></marker>'
        for color in colors
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-labelledby="title description" '
        f'font-family="{FONT}">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<defs>\n{heads}\n</defs>",
        f'<rect width="{width:g}" height="{height:g}" rx="12" fill="{WHITE}"/>',
        *shapes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _head(color: str) -> str:
    return f"head-{color.removeprefix('#')}"
