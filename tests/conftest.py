"""What every test shares: property tests without a deadline, since a busy machine is no fault of the code.

`HYPOTHESIS_PROFILE` chooses how many examples are drawn: `quick` (as `make check` does), `full` or `long`.  Whoever
starts the tests in the background has them ignore interrupts, and what they start would inherit that.
"""

import gc
import os
import signal

from hypothesis import HealthCheck, settings

settings.register_profile("full", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", parent=settings.get_profile("full"), max_examples=25)
settings.register_profile("long", parent=settings.get_profile("full"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))

# What is imported for the tests stays: the garbage collector need not look at it again and again.
gc.set_threshold(100_000, 20, 100)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over what all tests share, which stays anyway."""
    gc.freeze()
