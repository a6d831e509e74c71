"""The figures of the page, each with a word on how to read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from htpo.figures.catalogue import Entry, Shown, drawn
from htpo.figures.drawing import Drawing, as_csv, as_svg

MOST_DATA = 400_000  # characters of a figure's CSV


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page holds it."""

    name: str
    heading: str
    explanation: str
    svg: str
    csv: str | None  # None: too much for the page


def page_figures(entries: Sequence[Entry[Shown]], shown: Shown, title: str) -> Iterator[PageFigure | tuple[str, str]]:
    """Every figure of the page that can be drawn; of one that cannot, its heading and the reason."""
    for entry, drawing in drawn([entry for entry in entries if entry.heading], shown, title):
        if isinstance(drawing, Drawing):
            data = as_csv(list(drawing.rows[0]), drawing.rows)
            csv = data if len(data) <= MOST_DATA else None
            yield PageFigure(entry.name, entry.heading, entry.reading, as_svg(drawing.figure), csv)
        else:
            yield entry.heading, drawing
