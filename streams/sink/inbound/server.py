"""The way back: what ticketing systems say of their tickets becomes acts on our alerts, and outcomes for the learner.

`POST /inbound/{endpoint}` is answered with 200 and what came of it, or with a problem document (RFC 9457) that says
what to do.  The same call twice is one act.  An act has its endpoint as its origin, so nobody is told what they said.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from time import monotonic
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Struct

from streams.core.contracts.effects import AlertChanged
from streams.core.notify.contact import ContactRules
from streams.core.notify.pacing import RATE_PER_S
from streams.core.times import DAY_MS
from streams.core.token_bucket import full_bucket, refill, spend
from streams.shared.errors import InputError, SettingsError, StoreError
from streams.sink.inbound.auth import is_authentic
from streams.sink.inbound.formats import TicketUpdate, UnreadableBodyError, read_body
from streams.sink.inbound.outcomes import RefusedReportError, reports
from streams.sink.inbound.ticket_acts import UnknownStatusError, WorkAction, choose_action
from streams.sink.secrets.vault import Secrets, signers
from streams.store.outbox.values import Act, ActResult, EndpointRow
from streams.store.sink import Sink
from streams.telemetry.health import Readiness, health_routes

BODY_BYTES_MAX: Final = 256 << 10
READ_S: Final = 10.0
BURST: Final = 200
AHEAD_MS_MAX: Final = DAY_MS
"""An act that lies further ahead than this was dated by a clock that is wrong."""


class InboundContext(Struct, frozen=True, kw_only=True):
    """What calls are worked on with: the database, an endpoint's secrets, an alert by its id, and the time (ms)."""

    sink: Sink
    rules: ContactRules
    secrets_of: Callable[[EndpointRow], Secrets | None]
    alert_of: Callable[[str], AlertChanged | None]
    now_ms: Callable[[], int]
    say: Callable[[str], None]


class InboundCall(Struct, frozen=True):
    """One call that was understood: from which endpoint, what it says of which alert, and by which id it is known."""

    endpoint: str
    heard: TicketUpdate
    alert: AlertChanged
    identity: str
    now_ms: int


class ProblemError(Exception):
    """A call that is refused: the status, what is wrong, and what to do about it."""

    def __init__(self, status: int, title: str, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Keep all of it."""
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})


class RateLimiter:
    """So many calls a second, and so many at once; `clock_s` is any clock that never goes back."""

    def __init__(self, rate_per_s: float, burst: int, clock_s: Callable[[], float] = monotonic) -> None:
        """Begin full."""
        self._clock_s = clock_s
        self._bucket = full_bucket(rate_per_s, self._now_ms(), burst)

    def take(self) -> bool:
        """Take one, if there is one."""
        self._bucket = refill(self._bucket, self._now_ms())
        if self._bucket.tokens < 1.0:
            return False
        self._bucket = spend(self._bucket, 1)
        return True

    def _now_ms(self) -> int:
        return int(self._clock_s() * 1_000)


def inbound_app(
    context: InboundContext, *, body_bytes_max: int = BODY_BYTES_MAX, rate_per_s: float = RATE_PER_S, burst: int = BURST
) -> web.Application:
    """Return the application that takes calls; `rate_per_s` is for each endpoint, and for all strangers together."""
    app = web.Application(client_max_size=body_bytes_max, middlewares=[_problem_middleware(context.say)])
    strangers, tokens = RateLimiter(rate_per_s, burst), dict[str, RateLimiter]()

    async def take(request: web.Request) -> web.Response:
        try:
            row = await _endpoint_row(context, request)
        except ProblemError as problem:
            raise problem if strangers.take() else _too_many() from None
        body = await _body(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not await asyncio.to_thread(_is_from, context, row, headers, body):
            refusal = ProblemError(401, "not authorised", headers={"WWW-Authenticate": "Bearer"})
            raise refusal if strangers.take() else _too_many()
        if not tokens.setdefault(row.endpoint.name, RateLimiter(rate_per_s, burst)).take():
            raise _too_many()
        return _answer(200, await asyncio.to_thread(handle_call, context, row, headers, body))

    async def ready() -> Readiness:
        await asyncio.to_thread(context.sink.endpoints)
        return Readiness(is_ready=True, body={"ready": True})

    app.add_routes([web.post("/inbound/{endpoint}", take), *health_routes(ready)])
    return app


def handle_call(context: InboundContext, row: EndpointRow, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return what came of one authentic call.

    Raises:
        ProblemError: it is refused.
    """
    endpoint = row.endpoint
    try:
        heard = read_body(body, endpoint.preset, headers)
    except UnreadableBodyError as error:
        raise ProblemError(400, "the body cannot be understood", str(error)) from error
    if heard is None:
        return {"changed": False, "why": "it is about nothing that concerns an alert"}
    now_ms = context.now_ms()
    alert = _alert(context, endpoint.name, heard)
    work = context.sink.work(alert.alert_id)
    try:
        deed = choose_action(heard, endpoint, alert, work)
    except UnknownStatusError as error:
        raise ProblemError(400, "the state of the ticket means nothing here", str(error)) from error
    if isinstance(deed, str):
        return {"alert_id": alert.alert_id, "changed": False, "why": deed}
    identity = heard.event_id or headers.get("webhook-id") or blake2b(body, digest_size=16).hexdigest()
    return _carry_out(context, InboundCall(endpoint.name, heard, alert, identity, now_ms), deed)


def _carry_out(context: InboundContext, call: InboundCall, deed: WorkAction) -> dict[str, Any]:
    """Do what was decided, and report what came of it for the subscriber."""
    heard, alert, now_ms = call.heard, call.alert, call.now_ms
    act_id = "i_" + blake2b(f"{call.endpoint}|{call.identity}|{alert.alert_id}".encode(), digest_size=16).hexdigest()
    at_ms = now_ms if heard.at_ms is None else heard.at_ms
    if not 0 <= at_ms <= now_ms + AHEAD_MS_MAX:
        raise ProblemError(400, "the time cannot be right", "`at` lies more than a day ahead, or before 1970")
    found: Sequence[tuple[str, str, bytes]] = ()
    if deed.outcome is not None:
        try:
            outcomes = reports(act_id, alert, deed.outcome, deed.reason, at_ms=at_ms)
        except RefusedReportError as error:
            raise ProblemError(400, "the outcome does not meet its contract", str(error)) from error
        found = [(one.event_id, one.subscriber_id, one.body) for one in outcomes]
    acted = context.sink.act(
        Act(
            act_id=act_id,
            alert_id=alert.alert_id,
            at_ms=at_ms,
            act=deed.act,
            origin=f"endpoint:{call.endpoint}",
            fields=deed.fields,
            version=heard.version,
        ),
        context.rules,
        now_ms,
        reports=found,
    )
    if _is_stale(heard, acted):
        raise ProblemError(409, "the alert was changed meanwhile", f"its version is {acted.work.version}: {acted.why}")
    return {
        "alert_id": alert.alert_id,
        "changed": acted.changed,
        "why": acted.why,
        "state": acted.work.state,
        "version": acted.work.version,
    }


def _is_stale(heard: TicketUpdate, acted: ActResult) -> bool:
    return heard.version not in {None, acted.work.version} and not acted.changed and not acted.repeated


def _alert(context: InboundContext, endpoint: str, heard: TicketUpdate) -> AlertChanged:
    """Return the newest transition of the alert that is meant."""
    found = heard.alert_id
    for external_id in heard.external_ids if found is None else ():
        found = found or context.sink.alert_by_ticket(endpoint, external_id)
    alert = None if found is None else context.alert_of(found)
    if alert is None:
        raise ProblemError(404, "no such alert", "no alert has this id, or a ticket with it at this endpoint")
    return alert


async def _endpoint_row(context: InboundContext, request: web.Request) -> EndpointRow:
    try:
        return await asyncio.to_thread(context.sink.endpoint, request.match_info["endpoint"])
    except InputError:
        raise ProblemError(404, "no such endpoint") from None


async def _body(request: web.Request) -> bytes:
    kind = request.content_type
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ProblemError(415, "the body should be JSON", "send it with Content-Type: application/json")
    try:
        async with asyncio.timeout(READ_S):
            return await request.read()
    except TimeoutError:
        raise ProblemError(408, "the body did not come in time") from None


def _is_from(context: InboundContext, row: EndpointRow, headers: Mapping[str, str], body: bytes) -> bool:
    secrets, now_ms = context.secrets_of(row), context.now_ms()
    if secrets is None:
        return False
    return is_authentic(headers, body, signing=signers(secrets, now_ms), inbound=secrets.inbound, now_ms=now_ms)


def _too_many() -> ProblemError:
    return ProblemError(429, "too many calls", "come again in a second", {"Retry-After": "1"})


def _problem_middleware(say: Callable[[str], None]) -> Middleware:
    """Return what answers with problem documents; what is our own fault says nothing of its cause."""

    @web.middleware
    async def answer_problem(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemError as problem:
            return _problem(problem)
        except web.HTTPException as error:
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _problem(ProblemError(error.status, error.reason.lower(), headers=allowed))
        except InputError as error:
            return _problem(ProblemError(400, "this cannot be done", str(error)))
        except (StoreError, SettingsError) as error:
            say(f"{request.method} {request.path}: {error}")
            return _problem(ProblemError(503, "not now", "come again", {"Retry-After": "30"}))

    return answer_problem


def _problem(problem: ProblemError) -> web.Response:
    body = {"type": "about:blank", "title": problem.title, "status": problem.status}
    if problem.detail:
        body["detail"] = problem.detail
    return _answer(problem.status, body, "application/problem+json", problem.headers)


def _answer(
    status: int, body: object, kind: str = "application/json", headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body) + b"\n", content_type=kind, headers=headers)
