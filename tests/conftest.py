"""What every test shares: property tests without a deadline, since a busy machine is no fault of the code."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("check", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", parent=settings.get_profile("check"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))
