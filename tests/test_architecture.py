"""The rooms' picture in the docs, and circles that the table of rooms does not see."""

import re

import networkx as nx

from scripts.rooms import PICTURE, file_imports, room_imports


def test_no_file_imports_in_a_circle():
    circles = [sorted(files) for files in nx.strongly_connected_components(file_imports()) if len(files) > 1]
    assert not circles


def test_every_import_of_a_file_is_seen():
    imports = file_imports()
    assert imports.has_edge("htpo.objectives", "htpo.objectives.batch")  # from a file's module
    assert imports.has_edge("htpo.__main__", "htpo.cli")  # from a package


def test_the_picture_shows_the_rooms_and_their_arrows():
    """`python scripts/rooms.py` draws it anew."""
    ids = set(re.findall(r'<g id="([a-z_-]+)">', PICTURE.read_text(encoding="utf-8")))
    arrows = room_imports()
    assert {name.removeprefix("room-") for name in ids if name.startswith("room-")} == set(arrows)
    assert {name for name in ids if "-" in name and not name.startswith("room-")} == {
        "-".join(edge) for edge in arrows.edges
    }
