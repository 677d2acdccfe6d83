"""The two themes: the colours of the pictures beside those of the categories."""

from __future__ import annotations

from typing import NamedTuple

from ..categories import Category


class Theme(NamedTuple):
    """Colours of everything that is no category, #rrggbb."""

    name: str
    suffix: str
    """Of a picture's name, before `.png`; light pictures have none, for pages that embed them."""
    background: str
    text: str
    muted: str
    line: str
    grid: str
    gap: str
    """Background where counts are unknown."""
    hatch: str
    """Stripes where counts are unknown."""
    no_traffic: str
    """Background of a percent picture where too little was counted."""

    def colour(self, category: Category) -> str:
        """Return the colour of a category."""
        return category.dark if self.name == "dark" else category.light


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
