"""What a figure needs of its sources, read off its glyphs."""

from typing import Any


def missing_columns(plot: Any) -> set[str]:
    """Return the columns that glyphs draw and their sources do not have: such a glyph would stay invisible."""
    return {
        field
        for renderer in plot.renderers
        for field in _fields(renderer.glyph)
        if field not in renderer.data_source.data
    }


def _fields(glyph: Any) -> set[str]:
    names = glyph.properties_with_values().items() if glyph else ()
    values = [value for name, value in names if name in glyph.dataspecs()]
    found = [
        value["field"] if isinstance(value, dict) else getattr(value, "field", None)
        for value in values
        if _is_field(value)
    ]
    return {str(field) for field in found}


def _is_field(value: Any) -> bool:
    return "field" in value if isinstance(value, dict) else hasattr(value, "field")
