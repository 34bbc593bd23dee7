"""A machine without what makes last bits differ: this one, with fused steps and wide vectors switched off."""

import os
import platform
import subprocess
import sys
from functools import cache
from typing import Final

PLAINER: Final = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable,-FMA_Usable,-AVX2,-FMA,-FMA4",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
}
_OF_THE_LIBRARY: Final = "import math; print([math.exp(n / 77.7).hex() for n in range(20_000)])"


def output_of(script: str, **environment: str) -> str:
    """Return what a script prints in a process of its own, with these in its environment."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    given = os.environ | {"PYTHONPATH": ":".join(sys.path)} | environment
    return subprocess.run(command, env=given, capture_output=True, check=True, text=True).stdout


@cache
def why_not_plainer() -> str | None:
    """Return why the switches change nothing here, so that equal results would prove nothing; None if they do."""
    if output_of(_OF_THE_LIBRARY) == output_of(_OF_THE_LIBRARY, **PLAINER):
        return f"the exponential of this C library ({' '.join(platform.libc_ver())}) has no other way on this processor"
    return None
