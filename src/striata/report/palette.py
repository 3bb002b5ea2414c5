"""Colours by name, for light and for dark; layouts get hues that colour-blind readers can tell apart.

The nine hues are Paul Tol's "muted" scheme; on dark ground the darkest are lightened.
"""

from __future__ import annotations

LIGHT = {
    "ground": "#ffffff", "panel": "#f6f7f9", "ink": "#16202c", "muted": "#566374", "grid": "#dfe4ea", "accent": "#2b5fa8",
    "good": "#117733", "bad": "#b3423f", "heat": "#2b5fa8", "warm": "#b8641a", "wrong": "#b3423f",
    "c0": "#332288", "c1": "#cc6677", "c2": "#117733", "c3": "#a8862a", "c4": "#3d9bd1", "c5": "#882255", "c6": "#2f9e8d",
    "c7": "#7d7a22", "c8": "#aa4499",
}  # fmt: skip
DARK = {
    "ground": "#12181f", "panel": "#1a222b", "ink": "#e8edf2", "muted": "#a3b0be", "grid": "#2c3743", "accent": "#7fb2f0",
    "good": "#55b877", "bad": "#e88a84", "heat": "#4a86d4", "warm": "#c9792b", "wrong": "#b5524c",
    "c0": "#8f84e8", "c1": "#e08795", "c2": "#4fb06f", "c3": "#ddcc77", "c4": "#88ccee", "c5": "#d0689f", "c6": "#55c7b5",
    "c7": "#b5b24a", "c8": "#d07fc4",
}  # fmt: skip
HUES = 9
FAINT, FULL = 0.1, 0.75  # opacities of a heat map's ends: text in the colour of ink stays readable on both


def variables(colours: dict[str, str]) -> str:
    """Colours as CSS variables."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def heat(share: float) -> float:
    """Opacity of a heat map's cell for a value from 0 to 1."""
    return FAINT + (FULL - FAINT) * min(max(share, 0.0), 1.0)


def hue(place: int) -> str:
    """Palette name of the hue of the layout family at a place; from the tenth on they come round again."""
    return f"c{place % HUES}"
