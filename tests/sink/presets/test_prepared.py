"""What an operator may change of a preset, and the one line that every mistake gives."""

import json
from typing import Any

import msgspec
import pytest

from streams.core.contracts.effects import Reason
from streams.core.notify.endpoints import Auth, Endpoint
from streams.shared.errors import SettingsError
from streams.sink.http.request import REDACTED, Request
from streams.sink.presets import RenderFailure, load, prepare, redact, sample_delivery
from streams.sink.presets.delivery_facts import slim
from tests.sink.presets.examples import SECRET, endpoint, rendered


def over(text: str) -> Endpoint:
    return endpoint("standard", on={"create": {"body": {"x": text}}})


def placed(text: str) -> Endpoint:
    return endpoint("pagerduty-v2", on={"create": {"url": text}})


MISTAKES: list[tuple[str, Endpoint, str]] = [
    ("a name that is not there", over("{{ alert.bnad }}"),
     "endpoint crm: create.body.x: there is no alert.bnad, near are alert.band"),
    ("a name in a branch that is not taken", over("{{ 1 if alert.id else nob }}"), "there is no nob"),
    ("a name in an address", placed("{{ endpoint.url }}/{{ alert.idd }}"), "create.url: there is no alert.idd"),
    ("a type that does not fit", over("{{ alert.band + 1 }}"), "create.body.x"),
    ("a text that is no Unicode", endpoint("zammad", values={"group": "\ud800"}), "cannot be written as JSON"),
    ("a statement", over("{% for a in b %}{% endfor %}"), "calls and statements"),
    ("an unknown part of a request", endpoint("standard", on={"create": {"bdoy": {}}}), "no bdoy, near is body"),
    ("a method that is none", endpoint("standard", on={"create": {"method": "DELETE"}}), "on.create cannot be used"),
    ("a body that is no object", endpoint("standard", on={"create": {"body": "{{ alert.id }}"}}), "no JSON object"),
    ("a value that is missing", endpoint("jira", values={"project_key": ""}), "jira needs the value project_key: "),
    ("a value that nothing asks for", endpoint("jira", values={"projct_key": "X"}), "near is project_key"),
    ("an unknown language", endpoint("standard", values={"language": "fr"}), "there is no language fr"),
    ("an unknown map", endpoint("jira", map={"severty": {}}), "there is no map severty, near is severity"),
    ("an unknown band", endpoint("jira", map={"severity": {"critcal": "1"}}), "no critcal, near is critical"),
    ("a map that is not whole", endpoint("standard", map={"severity": {"high": "1"}}), "nothing of low, medium"),
    ("no secret", endpoint("jira", auth=None), "jira needs a secret (auth)"),
    ("the wrong kind of secret", endpoint("salesforce-upsert", auth=Auth(type="header")), "of the type bearer"),
    ("basic without a name", endpoint("jira", auth=Auth(type="basic")), "needs a username"),
    ("a query in an address that is built on", endpoint("zammad", "https://a.example/x?y=1"), "has a query"),
    ("no way to look", endpoint("standard", ambiguous="reconcile"), "no way to look"),
    ("a line break in a header", endpoint("standard", headers={"X-A": "b\r\nHost: c"}), "X-A has a value"),
    ("a header that is none", endpoint("standard", headers={"X A": "b"}), "no name of a header"),
    ("our own header", endpoint("standard", headers={"Webhook-Id": "b"}), "is set by the sink itself"),
    ("the host", endpoint("standard", headers={"host": "b"}), "is set by the sink itself"),
    ("the idempotency key", endpoint("standard", headers={"idempotency-key": "b"}), "is set by the sink itself"),
    ("a secret in a header", endpoint("standard", headers={"Authorization": "b"}), "say it by auth"),
    ("a secret header that is ours", endpoint("standard", auth=Auth(type="header", header="Host")), "by the sink"),
    ("a secret in an address", placed("{{ endpoint.url }}/{{ secret }}"), "a secret stands only under a key"),
    ("a secret where there is none", over("{{ secret }}"), "there is no secret"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_gives_one_clear_line(given: Endpoint, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        prepare(given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match="there is no preset jra; there are standard"):
        load("jra")


def body_of(given: Endpoint, action: Any = "create") -> Any:
    return json.loads(rendered(prepare(given), sample_delivery(action), action).body)


def test_maps_and_values_and_parts_of_a_body_can_be_changed() -> None:
    changed = endpoint(
        "servicenow-incident",
        map={"severity": {"high": "1"}},
        values={"group": "Retention", "code": 7},
        on={"create": {"body": {"u_code": "{{ values.code }}", "category": "{{ omit }}", "description": "d"}}},
    )
    body = body_of(changed)
    assert (body["urgency"], body["assignment_group"], body["u_code"], body["description"]) == (
        "1",
        "Retention",
        7,
        "d",
    )
    assert "category" not in body
    assert body["correlation_id"] == sample_delivery("create").transition.alert_id


def test_method_address_and_capture_can_be_changed() -> None:
    changed = endpoint("standard", "https://a.example/x/", on={
        "update": {"method": "PUT", "url": "{{ endpoint.url }}/{{ ticket.external_id }}"},
        "create": {"capture": {"external_id": "data.id"}},
    })  # fmt: skip
    prepared = prepare(changed)
    request = rendered(prepared, sample_delivery("update"), "update")
    assert (request.method, request.url) == ("PUT", "https://a.example/x/1001")
    assert prepared.capture("create", 200, {}, b'{"data": {"id": 9}}') == ("9", None)


def test_explanations_are_in_the_language_of_the_endpoint() -> None:
    text = body_of(endpoint("standard", values={"language": "zh"}))["data"]["alert"]["explanation"]
    assert "通话掉线" in text


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (Auth(type="basic", username="u"), ("Authorization", "Basic dTpzMw==")),
        (Auth(type="bearer"), ("Authorization", "Bearer s3")),
        (Auth(type="header", header="X-Api-Key"), ("X-Api-Key", "s3")),
    ],
)
def test_a_secret_goes_into_its_header_and_is_never_shown(auth: Auth, header: tuple[str, str]) -> None:
    prepared = prepare(endpoint("standard", auth=auth, headers={"X-Team": "retention", "X-Token": "hidden"}))
    request = prepared.render(sample_delivery("create"), "create", now_ms=0, secret="s3")
    assert isinstance(request, Request)
    assert header in request.headers
    shown = redact(request)
    assert shown["headers"][header[0]] == shown["headers"]["X-Token"] == REDACTED
    assert shown["headers"]["X-Team"] == "retention"
    assert header[1] not in json.dumps(shown)
    assert header[1] not in repr(request)
    accepted = prepare(endpoint("standard", headers={"accept": "text/plain", "Content-Type": "application/x+json"}))
    names = [name.lower() for name, _ in rendered(accepted, sample_delivery("create"), "create").headers]
    assert sorted(names) == ["accept", "content-type", "idempotency-key"]


def test_without_its_secret_or_with_one_that_breaks_a_header_nothing_is_sent() -> None:
    prepared = prepare(endpoint("zendesk"))
    missing = prepared.render(sample_delivery("create"), "create", now_ms=0)
    assert missing == RenderFailure("the secret of the endpoint is missing")
    token = prepare(endpoint("salesforce-upsert"))
    broken = token.render(sample_delivery("create"), "create", now_ms=0, secret="s3cret\r\nX: y")
    assert isinstance(broken, RenderFailure)
    assert "s3cret" not in broken.why
    assert isinstance(prepare(endpoint("jira")).lookup(sample_delivery("create"), secret=SECRET), Request)
    assert prepare(endpoint("standard")).lookup(sample_delivery("create")) is None


def test_a_routing_key_stands_in_the_body_alone_and_is_never_shown() -> None:
    request = rendered(prepare(endpoint("pagerduty-v2")), sample_delivery("create"), "create")
    assert json.loads(request.body)["routing_key"] == SECRET
    assert SECRET not in json.dumps(request.headers)
    assert redact(request)["body"]["routing_key"] == REDACTED
    assert SECRET not in json.dumps(redact(request))


def test_a_long_alert_is_told_without_its_evidence_before_it_is_not_told() -> None:
    claimed = sample_delivery("create")
    many = tuple(
        msgspec.structs.replace(reason, evidence=reason.evidence * 12) for reason in claimed.transition.reasons * 5
    )
    long = msgspec.structs.replace(claimed, transition=msgspec.structs.replace(claimed.transition, reasons=many))
    body = json.loads(rendered(prepare(endpoint("standard")), long, "create").body)
    assert [reason["evidence"] for reason in body["data"]["alert"]["reasons"]] == [[]] * 15
    endless = tuple(Reason(f"code_{number}" * 40, "t", 1.0, {}, ()) for number in range(200))
    longer = msgspec.structs.replace(claimed, transition=msgspec.structs.replace(claimed.transition, reasons=endless))
    refused = prepare(endpoint("standard")).render(longer, "create", now_ms=0)
    assert isinstance(refused, RenderFailure)
    assert "more than 20000" in refused.why


def test_slim_facts_keep_every_name() -> None:
    prepared = prepare(endpoint("standard"))
    facts = prepared._names(sample_delivery("update"), 0, None)
    assert slim(facts).keys() == facts.keys()
    assert slim(facts)["alert"].keys() == facts["alert"].keys()


def test_two_requests_of_one_delivery_are_the_same_whenever_they_are_made() -> None:
    prepared = prepare(endpoint("cloudevents"))
    first, later = (prepared.render(sample_delivery("create"), "create", now_ms=now_ms) for now_ms in (0, 10**12))
    assert first == later
