"""What is in force when: model versions and policies by the event time from which each serves.

Pure: records of the topics `models` and `policies` in, contexts out.  At an event time the version serves that is dated
latest by then, so that whoever works off old records does not score them with what was learned later; and the policy
that was published last among those that are to serve by then.  What cannot be used is refused in words, and changes
nothing.
"""

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from streams.core.decode import epoch_ms
from streams.core.outputs import TimeText, rfc3339
from streams.core.policy import Policy, PolicyError, policy_from
from streams.core.scoring import ModelError, Scorer, read_version, scorer_from
from streams.core.step import Context
from streams.runners.timers import NEVER_MS

MODELS: Final = "models"
POLICIES: Final = "policies"


class PolicyMessage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy as it is published: whole, with the hash of its content; None means that it serves at once."""

    version: str
    serves_from: TimeText | None = None
    policy: dict[str, Any]


class _Dated(Struct, frozen=True):
    """A scorer or a policy, the event time (ms) from which it serves, and when it was published among the others."""

    from_ms: int
    order: int
    what: Scorer | Policy


class Serving:
    """The contexts of one worker; `edition` changes whenever what `at` answers may have changed."""

    def __init__(self, cold: Context, *, takes_policies: bool = True) -> None:
        """Begin with what serves until something is published; a policy may be fixed by whoever started the worker."""
        self.edition = 0
        self._cold = cold
        self._takes_policies = takes_policies
        self._models: dict[bytes, _Dated] = {}
        self._policies: dict[bytes, _Dated] = {}
        self._published = 0
        self._laid_out = 0
        self._begins: list[int] = []
        self._contexts: list[Context] = [cold]

    def at(self, stream_ms: int) -> tuple[Context, int]:
        """Return the context in force at an event time, and the event time (ms) at which the next one is."""
        self._lay_out()
        number = bisect_right(self._begins, stream_ms)
        return self._contexts[number], self._begins[number] if number < len(self._begins) else NEVER_MS

    def take(self, topic: str, key: bytes, value: bytes | None) -> str | None:
        """Take a record of a topic, named without its prefix; return why it was refused.

        A key without a value withdraws what was published under it.
        """
        if topic == POLICIES and not self._takes_policies:
            return None
        taken = self._models if topic == MODELS else self._policies
        if value is None:
            self.edition += taken.pop(key, None) is not None
            return None
        try:
            from_ms, what = _READERS[topic](value)
        except (ModelError, PolicyError) as error:
            return str(error)
        self._published += 1
        taken[key] = _Dated(from_ms, self._published, what)
        self.edition += 1
        return None

    def newest(self) -> Context:
        """Return what serves when all that was published does."""
        self._lay_out()
        return self._contexts[-1]

    def _lay_out(self) -> None:
        """Find the context of each time between two changes, if anything was published since that was done."""
        if self._laid_out == self.edition:
            return
        self._laid_out = self.edition
        scorer, policy, policy_order = self._cold.scorer, self._cold.policy, 0
        changes: dict[int, Context] = {}
        dated = [*self._models.values(), *self._policies.values()]
        for one in sorted(dated, key=lambda one: (one.from_ms, one.order)):
            if isinstance(one.what, Scorer):
                scorer = one.what
            elif one.order > policy_order:
                policy, policy_order = one.what, one.order
            changes[one.from_ms] = Context(scorer, policy)
        self._begins = list(changes)
        self._contexts = [self._cold, *changes.values()]


def read_model(value: bytes) -> tuple[int, Scorer]:
    """Return the event time (ms) from which a published model version serves, and its scorer.

    Raises:
        ModelError: it is no such JSON, its hash is not that of its content, or it was learned on other features.
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
