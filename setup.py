"""The hot path as extension modules (mypyc), where FOREWARN_COMPILED=1 asks for them; pyproject.toml says all else.

    make compiled

The same source, checked by the same types, answers with the same bytes.  A module that is compiled defines nothing that
msgspec decodes: mypyc keeps `dict` of an annotation `dict[int, int]`, so such values stand in modules of their own.
"""

import os

from setuptools import Extension, setup  # type: ignore[import-untyped] # It comes without types.

COMPILED = (
    "streams/core/alerting.py",
    "streams/core/announcing.py",
    "streams/core/decode.py",
    "streams/core/elementary.py",
    "streams/core/facts.py",
    "streams/core/features.py",
    "streams/core/fold.py",
    "streams/core/learning.py",
    "streams/core/packing.py",
    "streams/core/pseudonyms.py",
    "streams/core/publishing.py",
    "streams/core/reasons.py",
    "streams/core/scoring.py",
    "streams/core/snapshots.py",
    "streams/core/step.py",
    "streams/core/strays.py",
    "streams/core/themes.py",
    "streams/core/usage_days.py",
    "streams/core/windows.py",
    "streams/runners/subscribers.py",
    "streams/runners/timers.py",
    "streams/kafka/lanes.py",
    "streams/kafka/slot.py",
)


def extensions() -> list[Extension]:
    """Return what is to be compiled: nothing, unless it is asked for.

    Contracting a product and a sum into one instruction is switched off, since its last bits are others.  Nobody else
    calls these functions by their names, so that small ones may become part of those that call them.
    """
    if os.environ.get("FOREWARN_COMPILED") != "1":
        return []
    from mypyc.build import mypycify  # noqa: PLC0415 # Whoever does not compile does not need it.

    made: list[Extension] = mypycify([*COMPILED], opt_level="3", debug_level="0", group_name="forewarn")
    for extension in made:
        extension.extra_compile_args += ["-ffp-contract=off", "-fvisibility=hidden", "-fno-semantic-interposition"]
    return made


setup(ext_modules=extensions())
