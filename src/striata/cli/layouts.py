"""`striata layouts`."""

from __future__ import annotations

from .options import Json


def layouts(as_json: Json = False) -> None:
    """List the built-in layouts.

    Any layout's name may be followed by :uniform (the same sites with the largest single rank that trains no more parameters) or
    :reversed (its layers in reverse order).

    Example: striata layouts
    """
    from ..layout import builtin_layouts
    from .output import print_json, table

    builtin = builtin_layouts()
    if as_json:
        print_json([{"name": name, "depth": layout.depth, "layout": layout.text} for name, layout in builtin.items()])
        return
    rows = [(name, layout.depth, layout.text) for name, layout in builtin.items()]
    table(["name", "layers", "sections"], rows, fold="sections")
