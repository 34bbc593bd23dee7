"""Drafts become whole with the snapshot that they name."""

import msgspec
import pytest

from streams.core.alerts.drafts import finish_alert
from streams.core.contracts.effects import AlertDraft
from streams.core.scoring.features import FEATURE_TABLE, NAMES, THEMES
from streams.core.subscriber.snapshots import pack_snapshot, unpack_snapshot
from tests.contracts.test_outputs import CHANGE
from tests.core.makers import scorer_of

AT_MS = 5
FEATURE = THEMES[0].features[0].name


@pytest.mark.parametrize(
    ("table", "is_compared"), [(FEATURE_TABLE, True), ("features-0", False)], ids=["our table", "another table"]
)
def test_an_alert_says_what_has_changed_since_a_snapshot_of_the_same_feature_table_alone(
    table: str, is_compared: bool
) -> None:
    scorer = scorer_of(0.0, **{FEATURE: 2.0})
    before = tuple(1.0 if name == FEATURE else 0.0 for name in NAMES)
    now = tuple(3.0 if name == FEATURE else 0.0 for name in NAMES)
    reason = msgspec.structs.replace(CHANGE.reasons[0], theme=THEMES[0].name)
    change = msgspec.structs.replace(CHANGE, reasons=(reason,))
    draft = AlertDraft(change, AT_MS, scorer.contributions(now))
    whole = finish_alert(draft, unpack_snapshot(pack_snapshot(AT_MS, before, table, 0.5, "m", 0), AT_MS), scorer)
    since = msgspec.structs.replace(reason, change=4.0, since_ms=AT_MS)
    assert whole.reasons == ((since,) if is_compared else (reason,))
