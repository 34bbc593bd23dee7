"""Effects that need a waiting snapshot: `step` reads no store and returns drafts, and here they become whole.

The engine reads the snapshot that a draft names.  An example is what the snapshot becomes; an alert's reasons say what
has changed since it.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

import msgspec

from streams.core.contracts.effects import AlertChanged, AlertDraft, ExampleDraft, LabelledExample
from streams.core.scoring.reasons import changed_since
from streams.core.scoring.scorer import Scorer
from streams.core.subscriber.snapshots import HIGH_BAND, features_of
from streams.core.subscriber.state import PendingSnapshot

NAMES_KEPT: Final = 1_024


def finish_example(draft: ExampleDraft, subscriber_id: str, snapshot: PendingSnapshot) -> LabelledExample:
    """Return the example that a draft and its snapshot make."""
    kind = "value_loss" if draft.is_worth_less and snapshot.band == HIGH_BAND else draft.kind
    digest = blake2b(f"{subscriber_id}|{draft.at_ms}".encode(), digest_size=16).hexdigest()
    return LabelledExample(
        f"{'p' if draft.provisional else 'e'}_{digest}", subscriber_id, draft.at_ms, features_of(snapshot),
        _intern(snapshot.feature_table), kind != "stayed", kind, draft.knowable_at_ms, draft.closed_at_ms,
        snapshot.probability, _intern(snapshot.model_version), draft.treatment, draft.provisional, draft.corrects,
    )  # fmt: skip


def finish_alert(draft: AlertDraft, snapshot: PendingSnapshot, scorer: Scorer) -> AlertChanged:
    """Return the transition with what has changed since the snapshot."""
    changed = draft.changed
    return msgspec.structs.replace(changed, reasons=changed_since(snapshot, changed.reasons, draft.shares, scorer))


@lru_cache(maxsize=NAMES_KEPT)
def _intern(name: str) -> str:
    """Return the name that is equal: a few names stand in many examples, and each is kept once."""
    return name
