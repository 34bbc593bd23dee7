"""A digest in words: the same facts as plain text, as a page for mail programs, and as JSON for others."""

import tomllib
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from msgspec import Struct

from streams.core.contracts.languages import Language
from streams.core.contracts.outputs import rfc3339
from streams.defaults import read_default
from streams.sink.digest.digest import Digest, DigestEntry
from streams.words.catalogues import catalogue
from streams.words.phrasing import action_text, moment_text, money_text, reason_text
from streams.words.wording import LanguageCatalogue

REASONS_TOLD: Final = 2
_DUE: Final = frozenset({"due_today", "overdue"})
_NEW: Final = frozenset({"new", "requested"})
_EPOCH: Final = date(1970, 1, 1)


class DigestText(Struct, frozen=True, kw_only=True):
    """A digest as it is sent."""

    subject: str
    text: str
    html: str


def write_digest(digest: Digest, language: Language) -> DigestText:
    """Return a digest in a language."""
    around, words = _around()[language], catalogue(language)
    counts = {part.section: part.count for part in digest.parts}
    title = around["title"].format(day=(_EPOCH + timedelta(days=digest.day)).isoformat())
    facts = {
        "language": language,
        "title": title,
        "words": around,
        "parts": [
            {
                "title": around[part.section],
                "count": part.count,
                "entries": [_entry(entry, around, words) for entry in part.entries],
                "further": around["further"].format(count=part.count - len(part.entries))
                if part.count > len(part.entries)
                else "",
            }
            for part in digest.parts
        ],
    }
    due = sum(count for section, count in counts.items() if section in _DUE)
    new = sum(count for section, count in counts.items() if section in _NEW)
    subject = around["subject"].format(count=sum(counts.values()), new=new, due=due)
    return DigestText(
        subject=f"Forewarn: {subject}",
        text=_template("digest.txt.j2").render(facts),
        html=_template("digest.html.j2").render(facts),
    )


def as_json(digest: Digest) -> dict[str, Any]:
    """Return a digest for programs, in codes and not in words."""
    return {
        "digest_id": digest.digest_id,
        "account_manager_id": digest.account_manager_id,
        "since": rfc3339(digest.since_ms),
        "until": rfc3339(digest.until_ms),
        "parts": [
            {
                "section": part.section,
                "count": part.count,
                "alerts": [
                    {
                        "alert_id": entry.alert.alert_id,
                        "subscriber_id": entry.alert.subscriber_id,
                        "kind": entry.alert.kind,
                        "band": entry.alert.band,
                        "probability": entry.alert.probability,
                        "value_at_risk_minor": entry.alert.value_at_risk_minor,
                        "currency": entry.alert.currency,
                        "due_at": rfc3339(entry.alert.due_at_ms),
                        "outcome": entry.outcome,
                    }
                    for entry in part.entries
                ],
            }
            for part in digest.parts
        ],
    }


def _entry(entry: DigestEntry, around: dict[str, Any], words: LanguageCatalogue) -> dict[str, Any]:
    alert = entry.alert
    return {
        "alert_id": alert.alert_id,
        "subscriber": alert.subscriber_id,
        "headline": f"{alert.probability:.0%} {words.bands[alert.band]}, {words.kinds[alert.kind]}",
        "at_stake": money_text(alert.value_at_risk_minor, alert.currency, words),
        "due": moment_text(alert.due_at_ms, words),
        "assignee": entry.assignee,
        "outcome": around["outcomes"].get(entry.outcome, entry.outcome) if entry.outcome else None,
        "reasons": [reason_text(reason, alert.currency, words) for reason in alert.reasons[:REASONS_TOLD]],
        "action": action_text(alert, words),
    }


@cache
def _around() -> dict[str, Any]:
    return tomllib.loads(read_default("digest.toml"))


@cache
def _template(name: str) -> Any:  # noqa: ANN401 - jinja2 is loaded where a digest is written, and takes a moment
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape  # noqa: PLC0415 - as above

    environment = Environment(
        loader=FunctionLoader(read_default),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
