"""The hot path as extension modules (mypyc), where FOREWARN_COMPILED=1 asks for them; pyproject.toml says all else.

    make compiled

The same source, checked by the same types, answers with the same bytes.  A module that is compiled defines nothing that
msgspec decodes: mypyc keeps `dict` of an annotation `dict[int, int]`, so such values stand in modules of their own.
"""

import os

from setuptools import Extension, setup  # type: ignore[import-untyped] # It comes without types.

COMPILED = (
    "streams/core/alerts/alerting.py",
    "streams/core/alerts/announcing.py",
    "streams/core/contracts/decode.py",
    "streams/core/scoring/exact_math.py",
    "streams/core/subscriber/facts.py",
    "streams/core/scoring/features.py",
    "streams/core/subscriber/fold.py",
    "streams/core/alerts/drafts.py",
    "streams/core/alerts/labels.py",
    "streams/core/alerts/stages.py",
    "streams/core/subscriber/packing.py",
    "streams/core/contracts/ids.py",
    "streams/core/contracts/encode.py",
    "streams/core/contracts/source.py",
    "streams/core/scoring/reasons.py",
    "streams/core/scoring/scorer.py",
    "streams/core/subscriber/snapshots.py",
    "streams/core/step.py",
    "streams/core/subscriber/strays.py",
    "streams/core/scoring/themes/complaints.py",
    "streams/core/scoring/themes/contract.py",
    "streams/core/scoring/themes/fading.py",
    "streams/core/scoring/themes/market.py",
    "streams/core/scoring/themes/parts.py",
    "streams/core/scoring/themes/payment.py",
    "streams/core/scoring/themes/rhythm.py",
    "streams/core/scoring/themes/service.py",
    "streams/core/scoring/themes/tenure.py",
    "streams/core/scoring/themes/usage.py",
    "streams/core/scoring/themes/value.py",
    "streams/core/subscriber/usage_days.py",
    "streams/core/scoring/windows.py",
    "streams/engine/subscribers.py",
    "streams/engine/timeline.py",
    "streams/engine/wakes.py",
    "streams/engine/waiting_snapshots.py",
    "streams/kafka/worker/source_queues.py",
    "streams/kafka/worker/subscriber_task.py",
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
