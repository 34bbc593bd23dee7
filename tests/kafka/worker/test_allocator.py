"""What a worker has freed it keeps."""

import platform

import pytest

from tests.plainer import output_of

AGAIN = """
from resource import RUSAGE_SELF, getrusage
from streams.kafka.worker.allocator import settle

if {settled}:
    settle()
bytes(range(256)) * (1 << 18)
before = getrusage(RUSAGE_SELF).ru_minflt
bytes(range(256)) * (1 << 18)
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""
PAGES = (256 << 18) // 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc, which has the switches")
def test_a_buffer_as_large_as_one_before_takes_no_new_pages_from_the_system() -> None:
    assert int(output_of(AGAIN.format(settled=True))) < PAGES / 10
    assert int(output_of(AGAIN.format(settled=False))) > PAGES / 10, "pages do not show here: the test proves nothing"
