"""The two themes: what pictures and page are painted with beside the colours of the categories."""

from __future__ import annotations

from typing import NamedTuple

from ..categories import Category


class Theme(NamedTuple):
    """Colours of everything that is not counted, #rrggbb."""

    name: str
    suffix: str
    """Between the name of a picture and its `.png`: the light ones are the plain names, for those who embed them."""
    ground: str
    text: str
    muted: str
    line: str
    grid: str
    gap: str
    """Where nothing is known."""
    hatch: str
    """Its stripes."""
    blank: str
    """Where it is known that there was nothing to share."""

    def colour(self, counted: Category) -> str:
        """Of a category."""
        return counted.dark if self.name == "dark" else counted.light


LIGHT = Theme(
    "light",
    "",
    "#FFFFFF",
    "#1F2328",
    "#59636E",
    "#8A8F98",
    "#E4E8EC",
    "#F3F4F6",
    "#BFC6CE",
    "#F0F4F8",
)
DARK = Theme(
    "dark",
    "-dark",
    "#151B23",
    "#E6EDF3",
    "#9AA4AF",
    "#6E7681",
    "#2B323B",
    "#20262E",
    "#4F5965",
    "#232C37",
)

THEMES = (LIGHT, DARK)
