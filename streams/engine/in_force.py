"""What is in force when: model versions, policies and market signals by the event time from which each serves.

Pure: records of the topics `models`, `policies` and `market-events` in, contexts out.  At an event time the line that
was promoted last serves, with its latest version by then, so that nobody scores old records with what was learned
later.  Of the policies that serve by then, the one published last serves.  The market is what was published by then.
What cannot be used is refused in words, and changes nothing.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.core.alerts.policy import Policy, PolicyError, policy_from
from streams.core.contracts.decode import decode_broadcast, epoch_ms
from streams.core.contracts.effects import DeadLetter
from streams.core.contracts.events import MARKET, MarketEvent, Record
from streams.core.contracts.outputs import TimeText, rfc3339
from streams.core.scoring.features import FEATURE_TABLE
from streams.core.scoring.models import ForeignTableError, ModelVersion, UnusableModelError, read_version, scorer_from
from streams.core.scoring.promotions import KEY_BEGINS, Promotion, promoted_last, read_promotion, serving_periods
from streams.core.scoring.scorer import Scorer
from streams.core.signals.market import Market
from streams.core.step import Context
from streams.core.times import NEVER_MS

MODELS: Final = "models"
POLICIES: Final = "policies"


class PolicyMessage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy as it is published: whole, with the hash of its content; None means that it serves at once."""

    version: str
    serves_from: TimeText | None = None
    policy: dict[str, Any]


class _EffectiveVersion(Struct, frozen=True):
    """A scorer or a policy, the event time (ms) from which it serves, and when it was published among the others."""

    from_ms: int
    order: int
    what: Scorer | Policy


class ContextTimeline:
    """The contexts of one worker; `edition` changes whenever what `at` answers may have changed."""

    def __init__(
        self, cold: Context, *, takes_policies: bool = True, cold_scorer: Callable[[Policy], Scorer] | None = None
    ) -> None:
        """Begin with what serves until something is published; a policy may be fixed by whoever started the worker.

        `cold_scorer` gives the scorecard for a published policy; without it that of `cold` serves with every one.
        """
        self.edition = 0
        self._cold = cold
        self._cold_scorer = cold_scorer
        self._takes_policies = takes_policies
        self._models: dict[bytes, _EffectiveVersion] = {}
        self._promotions: dict[bytes, Promotion] = {}
        self._policies: dict[bytes, _EffectiveVersion] = {}
        self._foreign: list[ModelVersion] = []
        self.market = Market()
        self._published = 0
        self._laid_out = 0
        self._begins: list[int] = []
        self._pairs: list[tuple[Scorer, Policy]] = [(cold.scorer, cold.policy)]

    def at(self, stream_ms: int) -> tuple[Context, int]:
        """Return the context in force at an event time, and the event time (ms) at which the next one is."""
        self._lay_out()
        number = bisect_right(self._begins, stream_ms)
        until_ms = self._begins[number] if number < len(self._begins) else NEVER_MS
        signals, known_until_ms = self.market.at(stream_ms)
        return Context(*self._pairs[number], signals), min(until_ms, known_until_ms)

    def publish(self, version: ModelVersion) -> None:
        """Take a model version, to serve from its date.

        Raises:
            UnusableModelError: it was learned on other features.
        """
        self._keep(self._models, version.served_as.encode(), version.published_at_ms, scorer_from(version))

    def promote(self, promotion: Promotion) -> None:
        """Let a line or a version serve from the promotion's date."""
        self._promotions[promotion.key] = promotion
        self.edition += 1

    def announce(self, event: MarketEvent, known_ms: int) -> bool:
        """Take a message about the market, known from its own time or `known_ms` on; say whether it is news."""
        before = self.market.edition
        is_news = self.market.take(event, known_ms)
        self.edition += self.market.edition != before
        return is_news

    def take(self, topic: str, key: bytes, value: bytes | None, received_ms: int = NEVER_MS) -> str | None:
        """Take a record of a topic, named without its prefix; return why it was refused.

        A key without a value withdraws what was published under it.  `received_ms` bounds how far in the future a
        market event may have been published.
        """
        if topic == MARKET:
            return self._take_notice(key, value, received_ms)
        if topic == POLICIES and not self._takes_policies:
            return None
        if topic == MODELS and key.startswith(KEY_BEGINS):
            return self._take_promotion(key, value)
        taken = self._models if topic == MODELS else self._policies
        if value is None:
            self.edition += taken.pop(key, None) is not None
            return None
        try:
            from_ms, what = _READERS[topic](value)
        except ForeignTableError as error:
            self._foreign.append(error.version)
            return str(error)
        except (UnusableModelError, PolicyError) as error:
            return str(error)
        self._keep(taken, key, from_ms, what)
        return None

    def newest_context(self) -> Context:
        """Return what serves once everything that was published is in force."""
        return self.at(NEVER_MS)[0]

    @property
    def last_promoted(self) -> str:
        """The line or the version that was promoted last, of those that are there."""
        return promoted_last((one.what.version for one in self._models.values()), self._promotions.values())

    def scorer_of(self, version: str) -> Scorer | None:
        """Return the scorer of a version, by the name that scores have it under; None if it was not published here."""
        if version == self._cold.scorer.version:
            return self._cold.scorer
        found = self._models.get(version.encode())
        return found.what if found is not None and isinstance(found.what, Scorer) else None

    @property
    def foreign_count(self) -> int:
        """How many model versions were refused because they were learned on another feature table."""
        return len(self._foreign)

    def foreign_ones(self) -> str:
        """Return in one line how many those are, the oldest and the newest of them, and why they cannot serve."""
        ones = sorted(self._foreign, key=lambda version: (version.published_at_ms, version.version))
        tables = sorted({version.feature_table for version in ones} - {FEATURE_TABLE}) or [FEATURE_TABLE]
        ends = [f"{version.served_as} of {rfc3339(version.published_at_ms)[:10]}" for version in (ones[0], ones[-1])]
        others = " and others" if len(tables) > 1 else ""
        count = f"{len(ones):,} versions, {ends[0]} to {ends[1]}" if len(ones) > 1 else f"1 version, {ends[0]}"
        return f"{count}: learned on {tables[-1]}{others}, this program computes {FEATURE_TABLE}"

    def _keep(self, taken: dict[bytes, _EffectiveVersion], key: bytes, from_ms: int, what: Scorer | Policy) -> None:
        self._published += 1
        taken[key] = _EffectiveVersion(from_ms, self._published, what)
        self.edition += 1

    def _take_promotion(self, key: bytes, value: bytes | None) -> str | None:
        before = self._promotions.pop(key, None)
        if value is not None:
            try:
                self._promotions[key] = read_promotion(value)
            except UnusableModelError as error:
                if before is not None:
                    self._promotions[key] = before
                return str(error)
        self.edition += self._promotions.get(key) != before
        return None

    def _take_notice(self, key: bytes, value: bytes | None, received_ms: int) -> str | None:
        before = self.market.edition
        if value is None:
            self.market.forget(key.decode("utf-8", "replace"))
        else:
            notice = decode_broadcast(Record(MARKET, 0, 0, value, received_ms))
            if isinstance(notice, DeadLetter):
                return f"{notice.reason}: {notice.detail}"
            if notice.body.entry_id.encode("utf-8", "replace") != key:
                return "its key is not its entry_id, by which the topic is compacted"
            self.market.take(notice.body, notice.at_ms)
        self.edition += self.market.edition != before
        return None

    def _lay_out(self) -> None:
        """Find what serves between two changes, if anything was published since that was done."""
        if self._laid_out == self.edition:
            return
        self._laid_out = self.edition
        learned: Scorer | None = None
        cold, policy, policy_order = self._cold.scorer, self._cold.policy, 0
        changes: dict[int, tuple[Scorer, Policy]] = {}
        versions = sorted(self._models.values(), key=lambda one: one.order)
        named = [(one.from_ms, one.what.version, one.what) for one in versions]
        serving = [
            _EffectiveVersion(from_ms, 0, what) for from_ms, what in serving_periods(named, self._promotions.values())
        ]
        for one in sorted([*serving, *self._policies.values()], key=lambda one: (one.from_ms, one.order)):
            if isinstance(one.what, Scorer):
                learned = one.what
            elif one.order > policy_order:
                policy, policy_order = one.what, one.order
                cold = cold if self._cold_scorer is None else self._cold_scorer(policy)
            changes[one.from_ms] = learned or cold, policy
        self._begins = list(changes)
        self._pairs = [(self._cold.scorer, self._cold.policy), *changes.values()]


def read_model(value: bytes) -> tuple[int, Scorer]:
    """Return the event time (ms) from which a published model version serves, and its scorer.

    Raises:
        UnusableModelError: it is no such JSON, its hash is not that of its content, or its features are others.
    """
    version = read_version(value)
    return version.published_at_ms, scorer_from(version)


def read_policy(value: bytes) -> tuple[int, Policy]:
    """Return the event time (ms) from which a published policy serves, and the policy.

    Raises:
        PolicyError: it is no such JSON, its version is not that of its content, or a policy file could not say that.
    """
    try:
        message = msgspec.json.decode(value, type=PolicyMessage)
        from_ms = 0 if message.serves_from is None else epoch_ms(datetime.fromisoformat(message.serves_from))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise PolicyError(f"no published policy: {error}") from error
    policy = policy_from(message.policy)
    if policy.version != message.version:
        raise PolicyError(f"it says that it is {message.version}, and its content is {policy.version}")
    return from_ms, policy


def policy_message(policy: Policy, from_ms: int | None) -> bytes:
    """Return the record that publishes a policy, to serve from an event time (ms) or at once."""
    content = {name: value for name, value in msgspec.to_builtins(policy).items() if name != "version"}
    serves_from = None if from_ms is None else rfc3339(from_ms)
    return msgspec.json.encode(PolicyMessage(version=policy.version, serves_from=serves_from, policy=content))


_READERS: Final[dict[str, Callable[[bytes], tuple[int, Scorer | Policy]]]] = {
    MODELS: read_model,
    POLICIES: read_policy,
}
