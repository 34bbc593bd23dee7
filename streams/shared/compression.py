"""How the topics that we write to files are compressed."""

from typing import Final, Literal

Compression = Literal["none", "gz", "zst"]

SUFFIXES: Final[dict[Compression, str]] = {"none": "", "gz": ".gz", "zst": ".zst"}
"""What a file's name ends with."""
