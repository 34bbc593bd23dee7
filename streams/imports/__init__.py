"""Real data in, event topics out: a declarative map turns a table into time-ordered JSON Lines per topic."""

from streams.imports.importing import ImportReport, Refusal, import_file
from streams.imports.mapping import load_map, shipped_maps

__all__ = ["ImportReport", "Refusal", "import_file", "load_map", "shipped_maps"]
