"""The alerts in a database, for people."""

from collections.abc import Iterable

from streams.store.database import RunStore
from streams.store.run.batch import AlertRow


def alerts(
    db: str,
    states: Iterable[str] | None = None,
    bands: Iterable[str] | None = None,
    kinds: Iterable[str] | None = None,
    limit: int | None = None,
    *,
    held_out: bool = False,
) -> list[AlertRow]:
    """Return the alerts that ever fired (pending ones too when asked for), firing first, then by what is at stake.

    Those of held-out subscribers, of whom nobody is told, are returned when they are asked for, and no others then.
    """
    wanted = set(states) if states is not None else None
    with RunStore.open(db, create=False) as store:
        rows = store.alerts(states=wanted, held_out=held_out)
    bands, kinds = set(bands or ()), set(kinds or ())
    kept = [
        row
        for row in rows
        if (row.fired_at_ms is not None or (wanted is not None and row.latest.state == "pending"))
        and (not bands or row.latest.band in bands)
        and (not kinds or row.latest.kind in kinds)
    ]
    kept.sort(key=_by_urgency)
    return kept[:limit]


def _by_urgency(row: AlertRow) -> tuple[bool, float, str]:
    alert = row.latest
    return alert.state != "firing", -alert.probability * (alert.value_at_risk_minor + 1), alert.alert_id
