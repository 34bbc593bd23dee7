"""Settings of memory for a worker: it keeps what it has freed, and collects cycles seldom."""

import ctypes
import gc
from typing import Final

GC_THRESHOLDS: Final = (500_000, 20, 1_000)
"""States and records form no cycles: looking at all of them as often as Python does takes a quarter of the time."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_NEVER_BYTES: Final = 2**31 - 1


def settle() -> None:
    """Prepare this process for millions of states and for buffers of megabytes that come and go.

    By itself glibc gives a freed buffer back to the system and has the next one zeroed again, page by page; what a
    worker has needed once it soon needs again.  Where there is no glibc, its own allocator stays as it is.
    """
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(_TRIM_THRESHOLD, _NEVER_BYTES)
        adjust(_MMAP_THRESHOLD, _NEVER_BYTES)
