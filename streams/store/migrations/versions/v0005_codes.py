"""Version 5: codes beside the words of alerts and deliveries, and what lists of alerts are chosen and sorted by."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

WHYS = {
    "the risk reached the opening threshold": "threshold_reached",
    "the risk reached the opening threshold again": "threshold_reached_again",
    "the risk stayed above the opening threshold for the hold time": "hold_time_elapsed",
    "the risk fell under the opening threshold too soon": "fell_below_opening",
    "the risk fell under the closing threshold too soon": "fell_below_closing",
    "the subscriber left before the hold time": "left_before_hold_time",
    "profiling consent was withdrawn": "consent_withdrawn",
    "the risk rose to a higher band": "band_rose",
    "the risk stayed in a lower band for the clear time": "band_fell",
    "the risk stayed below the closing threshold for the clear time": "clear_time_elapsed",
    "the subscriber left": "subscriber_left",
}
ACTIONS = {
    "Call, ask what changed, offer a plan that fits the present use": "offer_fitting_plan",
    "Offer another way to pay or an emergency top-up before service stops": "offer_payment_help",
    "Offer a renewal before the contract ends; match the rival's price where value allows": "offer_renewal",
    "Call with the state of the complaint or the network fault, and a date for its repair": "report_repair",
    "Review the plan together; offer a bundle that keeps the spend": "review_plan",
}
SUPPRESSED_BY = (
    "held_out", "contact_not_allowed", "cool_down", "capacity", "never_told", "stale_event", "origin",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns and fill them from the words and the transitions that are there."""
    _add_codes()
    _add_urgency()
    _add_suppressed_by()
    row = sa.table("forewarn", sa.column("schema_version"))
    op.execute(row.update().values(schema_version=5))


def _add_codes() -> None:
    transitions = sa.table(
        "transitions", sa.column("why"), sa.column("why_code"), sa.column("action"), sa.column("action_code")
    )
    for words, code, codes in (("why", "why_code", WHYS), ("action", "action_code", ACTIONS)):
        op.add_column("transitions", sa.Column(code, sa.Text))
        column = transitions.c[words]
        told = sa.case(codes, value=column)
        op.execute(transitions.update().where(column.in_(sorted(codes))).values({code: told}))


def _add_urgency() -> None:
    op.add_column("alerts", sa.Column("is_firing", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("alerts", sa.Column("urgency", sa.Double, nullable=False, server_default=sa.text("0")))
    op.add_column("alerts", sa.Column("fired_at_ms", sa.BigInteger))
    alerts = sa.table(
        "alerts",
        sa.column("alert_id"),
        sa.column("state"),
        sa.column("latest_transition_id"),
        sa.column("is_firing", sa.Boolean),
        sa.column("urgency", sa.Double),
        sa.column("fired_at_ms"),
    )
    one = sa.table(
        "transitions",
        sa.column("transition_id"),
        sa.column("alert_id"),
        sa.column("change"),
        sa.column("at_ms"),
        sa.column("probability", sa.Double),
        sa.column("value_at_risk_minor", sa.BigInteger),
    ).c
    urgency = sa.select(one.probability * (one.value_at_risk_minor + 1))
    latest = urgency.where(one.transition_id == alerts.c.latest_transition_id).scalar_subquery()
    fired = sa.select(sa.func.min(one.at_ms)).where(one.alert_id == alerts.c.alert_id, one.change == "fired")
    found = {"is_firing": alerts.c.state == "firing", "urgency": latest, "fired_at_ms": fired.scalar_subquery()}
    op.execute(alerts.update().values(found))
    op.create_index("alerts_by_urgency", "alerts", ["held_out", "is_firing", "urgency", "fired_at_ms"])


def _add_suppressed_by() -> None:
    op.add_column("deliveries", sa.Column("suppressed_by", sa.Text))
    deliveries = sa.table("deliveries", sa.column("state"), sa.column("why", sa.Text), sa.column("suppressed_by"))
    for code in SUPPRESSED_BY:
        begins_so = deliveries.c.why.startswith(f"{code}:", autoescape=True)
        chosen = deliveries.update().where(deliveries.c.state == "suppressed", begins_so)
        op.execute(chosen.values(suppressed_by=code))
