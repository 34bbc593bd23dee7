"""The alerts in a database, for people."""

from collections.abc import Iterable

from streams.store.database import RunStore
from streams.store.run.batch import AlertPage


def alerts(
    db: str,
    states: Iterable[str] | None = None,
    bands: Iterable[str] | None = None,
    kinds: Iterable[str] | None = None,
    limit: int | None = None,
    *,
    stages: Iterable[str] | None = None,
    held_out: bool = False,
) -> AlertPage:
    """Return the alerts that ever fired (pending ones too when asked for), firing first, then by what is at stake.

    Those of held-out subscribers, of whom nobody is told, are returned when they are asked for, and no others then.
    """
    with RunStore.open(db, create=False) as store:
        return store.alert_page(
            None if states is None else set(states),
            set(bands or ()),
            set(kinds or ()),
            stages=set(stages or ()),
            held_out=held_out,
            limit=limit,
        )
