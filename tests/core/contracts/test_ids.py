"""Drawing the shape of an id accepts and refuses what the pattern of its schema does."""

import re
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.core.contracts.ids import PSEUDONYM, PSEUDONYM_CHARS, must_be_pseudonymous

DIGITS = st.text("0123456789abcdef", min_size=32, max_size=32)
ALMOST = st.text("0123456789abcdefABg_ \n\u0661", min_size=30, max_size=34)


def is_taken(subscriber_id: str) -> bool:
    try:
        must_be_pseudonymous(SimpleNamespace(subscriber_id=subscriber_id))
    except ValueError:
        return False
    return True


@given(st.builds("{}{}".format, st.sampled_from(("s_", "S_", "s-", "", "s_s_")), DIGITS | ALMOST) | st.text())
@example("s_" + "0" * 32)
@example("s_" + "0" * 32 + "\n")
@example("s_" + "A" * 32)
@example("s_" + "d" * 32)
@example("d" * 32 + "s_")
@example("s_" + "\ud800" * 32)
def test_an_id_is_taken_exactly_if_it_has_the_pattern_and_the_length_that_the_schema_says(subscriber_id: str) -> None:
    has_pattern = re.search(PSEUDONYM, subscriber_id) is not None
    assert is_taken(subscriber_id) == (has_pattern and len(subscriber_id) == PSEUDONYM_CHARS)


def test_the_words_of_a_refusal_do_not_show_the_id() -> None:
    with pytest.raises(ValueError, match="subscriber_id") as refused:
        must_be_pseudonymous(SimpleNamespace(subscriber_id="+8613800138000"))
    assert "138" not in str(refused.value)
