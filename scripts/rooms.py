"""Draws the rooms of the package, and which imports which, from the code itself: `python scripts/rooms.py`.

Writes `docs/images/rooms.svg` and `rooms.png`. An arrow that others imply is left out.
"""

import ast
import random
import re
import textwrap
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path as Curve

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "htpo"
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
WIDTH, HEIGHT, FLOOR, GAP = 3.1, 1.0, 1.65, 0.35  # of a box, from floor to floor, and between boxes; inches
PASSAGE = 0.3  # what an arrow that goes past a floor takes of its width
TRIES = 300


def module_files() -> dict[str, Path]:
    """The package's files by the name they are imported by."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def file_imports() -> nx.DiGraph:
    """Which file of the package imports which, wherever in the file the import stands."""
    files = module_files()
    graph = nx.DiGraph()
    graph.add_nodes_from(files)
    for name, file in files.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                asked = [one if one in files else str(node.module) for one in inner]
            else:
                asked = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            graph.add_edges_from((name, one) for one in asked if one in files and one != name)
    return graph


def room_of(module: str) -> str | None:
    """The room a file lies in; None for one that lies in none, such as `htpo.errors`."""
    _, *rest = module.split(".")
    return rest[0] if rest and (PACKAGE / rest[0]).is_dir() else None


def room_imports() -> nx.DiGraph:
    """Which room imports which, without what is implied. A folder of data, which imports nothing, is no room.

    Raises:
        ValueError: rooms import each other in a circle.
    """
    graph = nx.DiGraph()
    for above, below in file_imports().edges:
        rooms = room_of(above), room_of(below)
        if None not in rooms and rooms[0] != rooms[1]:
            graph.add_edge(*rooms)
    if not nx.is_directed_acyclic_graph(graph):
        raise ValueError(f"rooms import each other in a circle: {nx.find_cycle(graph)}")
    return nx.transitive_reduction(graph)


def said_of(file: Path) -> str:
    """The beginning of a file's docstring: its first sentence, up to a semicolon."""
    text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return re.split(r"\. |; ", text)[0].rstrip(".").replace("`", "")


@dataclass(frozen=True)
class Spot:
    """A place on a floor: of a room, or of an arrow that goes past."""

    floor: int
    room: str = ""
    arrow: tuple[str, str] | None = None

    @property
    def width(self) -> float:
        return PASSAGE if self.arrow else WIDTH


def ways(arrows: nx.DiGraph) -> dict[tuple[str, str], list[Spot]]:
    """What every arrow goes through, floor by floor from the top; a room lies above all that it imports."""
    floor: dict[str, int] = {}
    for room in reversed(list(nx.topological_sort(arrows))):
        floor[room] = max((floor[below] + 1 for below in arrows.successors(room)), default=0)
    return {
        (above, below): [
            Spot(floor[above], above),
            *(Spot(between, arrow=(above, below)) for between in range(floor[above] - 1, floor[below], -1)),
            Spot(floor[below], below),
        ]
        for above, below in sorted(arrows.edges)
    }


def places(ways: dict[tuple[str, str], list[Spot]]) -> dict[Spot, float]:
    """How far to the right every spot's middle is, so that few arrows cross."""
    floors: dict[int, list[Spot]] = {}
    for spot in dict.fromkeys(spot for way in ways.values() for spot in way):
        floors.setdefault(spot.floor, []).append(spot)
    steps = [step for way in ways.values() for step in pairwise(way)]
    chance, best, least = random.Random(0), {}, float("inf")
    for _ in range(TRIES):
        order = [chance.sample(row, len(row)) for row in floors.values()]
        found, cost = _settled(order, steps)
        if cost < least:
            best, least = found, cost
    return best


def _settled(order: list[list[Spot]], steps: list[tuple[Spot, Spot]]) -> tuple[dict[Spot, float], float]:
    """Neighbours on a floor changed places as long as that helps."""
    cost, better = _cost(order, steps), True
    while better:
        better = False
        for row in order:
            for i in range(len(row) - 1):
                row[i : i + 2] = row[i + 1], row[i]
                changed = _cost(order, steps)
                if changed < cost - 1e-9:
                    cost, better = changed, True
                else:
                    row[i : i + 2] = row[i + 1], row[i]
    return _laid_out(order), cost


def _laid_out(order: list[list[Spot]]) -> dict[Spot, float]:
    widest = max(sum(spot.width + GAP for spot in row) for row in order)
    found = {}
    for row in order:
        gap = min((widest - sum(spot.width for spot in row)) / len(row), 1.2)
        x = -(sum(spot.width + gap for spot in row) - gap) / 2
        for spot in row:
            found[spot] = x + spot.width / 2
            x += spot.width + gap
    return found


def _cost(order: list[list[Spot]], steps: list[tuple[Spot, Spot]]) -> float:
    """Crossings, and, where these are equal, how far arrows reach sideways."""
    x = _laid_out(order)
    crossings = sum(
        one[0].floor == other[0].floor and (x[one[0]] - x[other[0]]) * (x[one[1]] - x[other[1]]) < 0
        for one, other in combinations(steps, 2)
    )
    return crossings + 0.01 * sum(abs(x[upper] - x[lower]) for upper, lower in steps)


def draw(arrows: nx.DiGraph) -> Figure:
    """The picture; every arrow has the id `upper-lower` in the SVG, and every room its name."""
    through = ways(arrows)
    x = places(through)
    reach = max(abs(middle) + spot.width / 2 for spot, middle in x.items()) + 0.1
    top = max(spot.floor for spot in x) * FLOOR + HEIGHT / 2 + 0.1
    figure = plt.figure(figsize=(2 * reach, top + HEIGHT + 0.4))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-reach, reach), ylim=(-HEIGHT - 0.3, top))
    axes.axis("off")
    for (above, below), way in through.items():
        _arrow(axes, [(x[spot], spot.floor * FLOOR) for spot in way], f"{above}-{below}")
    for spot, middle in x.items():
        if spot.room:
            _box(axes, middle, spot.floor * FLOOR, spot.room)
    loose = [file for name, file in module_files().items() if name.count(".") == 1 and file.parent == PACKAGE]
    known = "; ".join(f"{file.name} ({said_of(file)[0].lower()}{said_of(file)[1:]})" for file in sorted(loose))
    said = "\n".join(textwrap.wrap(f"Beside the rooms: {known}", round(30 * reach)))
    axes.text(0, -HEIGHT, said, ha="center", va="center", fontsize=9, color="#555555")
    return figure


def _arrow(axes: Axes, points: list[tuple[float, float]], name: str) -> None:
    """A curve that leaves and enters every floor straight down."""
    (x, y), *rest = points
    y -= HEIGHT / 2
    vertices, codes = [(x, y)], [Curve.MOVETO]
    for number, (to_x, to_y) in enumerate(rest, 1):
        enters, leaves = to_y + HEIGHT / 2, to_y - HEIGHT / 2
        middle = (y + enters) / 2
        vertices += [(x, middle), (to_x, middle), (to_x, enters)]
        codes += [Curve.CURVE4] * 3
        if number < len(rest):
            vertices.append((to_x, leaves))
            codes.append(Curve.LINETO)
        x, y = to_x, leaves
    tip = vertices.pop()
    vertices.append((tip[0], tip[1] + 0.09))
    axes.add_patch(PathPatch(Curve(vertices, codes), fc="none", ec="#5a6b7b", lw=1.3, gid=name))
    axes.add_patch(Polygon([tip, (tip[0] - 0.06, tip[1] + 0.13), (tip[0] + 0.06, tip[1] + 0.13)], fc="#5a6b7b", lw=0))


def _box(axes: Axes, x: float, y: float, room: str) -> None:
    files = list((PACKAGE / room).rglob("*.py"))
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    corner = (x - WIDTH / 2, y - HEIGHT / 2)
    box = FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0,rounding_size=0.08", fc="#eef3f8", ec="#34495e", lw=1.1)
    axes.add_patch(box)
    axes.text(x - WIDTH / 2 + 0.12, y + 0.34, room, va="center", fontsize=12, weight="bold", gid=f"room-{room}")
    size = f"{len(files)} files, {lines / 1000:.1f}k lines"
    axes.text(x + WIDTH / 2 - 0.12, y + 0.34, size, ha="right", va="center", fontsize=8, color="#555555")
    said = "\n".join(textwrap.wrap(said_of(PACKAGE / room / "__init__.py"), 41))
    axes.text(x - WIDTH / 2 + 0.12, y + 0.16, said, va="top", fontsize=9, linespacing=1.25)


def main() -> None:
    """Write both pictures."""
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "rooms"}
    figure = draw(room_imports())
    figure.savefig(PICTURE, metadata={"Date": None})
    figure.savefig(PICTURE.with_suffix(".png"), dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    main()
