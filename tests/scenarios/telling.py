"""Stories: what one customer does, day by day, and what is to be expected of it.

A line says when, then what; a line that begins with `expect` says what must hold when a day has ended.  There are no
loops, no variables and no conditions: what cannot be said in a line here is said in a new kind of line below.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from streams.core.contracts.events import Body, MarketEvent
from tests.core import makers
from tests.core.makers import at

NOON = 12.0


class Expectation(Struct, frozen=True):
    """What must hold at the end of a day: `words` as they were written, `wanted` by name."""

    day: int
    words: str
    wanted: dict[str, str]


class Story(Struct):
    """A customer's records, by time, what is expected, and what the policy says otherwise than by default."""

    title: str
    bodies: list[Body]
    expectations: list[Expectation]
    policy: str = ""
    market: list[MarketEvent] = []

    @property
    def end_day(self) -> int:
        """The last day that anything is said about."""
        return max(one.day for one in self.expectations)


def told(text: str) -> Story:
    """Read a story; an error names the line that says nothing known."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    story = Story(text.splitlines()[0].lstrip("# "), [], [])
    profile: dict[str, Any] = {}
    for line in filter(None, lines):
        if found := re.fullmatch(r"expect (.+) by day (\d+)", line):
            story.expectations.append(Expectation(int(found[2]), line, wanted(found[1])))
            continue
        if found := re.fullmatch(r"policy (\S+)\.(\w+) is (\S+)", line):
            story.policy += f"[policy.{found[1]}]\n{found[2]} = {found[3]}\n"
            continue
        if found := re.fullmatch(MARKET_LINE, line):
            story.market.append(offer(found.groupdict()))
            continue
        for pattern, tell in LINES:
            if found := re.fullmatch(pattern, line):
                story.bodies += tell(found.groupdict(), profile)
                break
        else:
            raise ValueError(f"no story can say this: {line}")
    story.bodies.sort(key=makers.at_ms_of)
    return story


def wanted(words: str) -> dict[str, str]:
    """Read `firing, kind natural, reason topup_gap` as names and values; `no alert` as the state `none`."""
    first, *others = words.split(", ")
    state = "none" if first == "no alert" else first.replace("label ", "label=")
    named = {"label": state.removeprefix("label=")} if state.startswith("label=") else {"state": state}
    return named | dict(other.split(" ", 1) for other in others)


def days(said: dict[str, str]) -> range:
    return range(int(said["from"]), int(said.get("to") or said["from"]) + 1, int(said.get("every") or 1))


def minor(amount: str) -> int:
    return round(100 * float(amount))


def customer(said: dict[str, str], profile: dict[str, Any]) -> list[Body]:
    profile.update(
        payment_type=said["payment"],
        segment=said["segment"],
        area_id=said["area"],
        monthly_fee_minor=minor(said["fee"] or "0"),
        start_date=makers.moment(at(-30 * int(said["months"]))),
        contract_end_date=makers.moment(at(int(said["ends"]))) if said["ends"] else None,
    )
    return [makers.profile(at(0), **profile)]


def consent(said: dict[str, str], profile: dict[str, Any]) -> list[Body]:
    profile.update(profiling_consent=said["verb"] == "gives")
    return [makers.profile(at(int(said["from"]), NOON), **profile)]


def uses(said: dict[str, str], _: dict[str, Any]) -> list[Body]:
    """A day's summary is dated by the day's end."""
    calls, minutes, drops = int(said["calls"]), int(said["minutes"] or 2), int(said["drops"] or 0)
    made: list[Body] = []
    for day in days(said):
        made.append(makers.usage(at(day + 1), voice_attempts=calls, voice_answered=calls, voice_s=60 * minutes * calls))
        made += [makers.call_drop(at(day, 8 + k / 4), event_id=f"drop-{day}-{k}") for k in range(drops)]
    return made


def tops_up(said: dict[str, str], _: dict[str, Any]) -> list[Body]:
    status = "failed" if said["verb"].startswith("fails") else "completed"
    amount = minor(said["amount"])
    return [makers.top_up(at(day, NOON), amount_minor=amount, status=status) for day in days(said)]


def complains(said: dict[str, str], _: dict[str, Any]) -> list[Body]:
    due = makers.moment(at(int(said["due"]))) if said["due"] else None
    return [makers.complaint(at(int(said["from"]), NOON), expected_resolution_date=due, **ticket(said))]


def closes(said: dict[str, str], _: dict[str, Any]) -> list[Body]:
    opened = {"creation_date": makers.moment(at(int(said["opened"]), NOON))}
    return [makers.complaint(at(int(said["from"]), NOON), change="resolved", status="closed", **opened, **ticket(said))]


def ticket(said: dict[str, str]) -> dict[str, str]:
    """A customer has one complaint a day about one thing."""
    name = f"{said['about']}-{said.get('opened') or said['from']}"
    return {"ticket_id": name, "category": said["about"], "event_id": f"{name}-{said['from']}"}


def offer(said: dict[str, str]) -> MarketEvent:
    """What is published at noon of a day, of a promotion that runs from then on."""
    areas = tuple(said["areas"].split(" and ")) if said["areas"] else ()
    return makers.entry(at(int(said["from"]), NOON), area_ids=areas)


def life(change: str) -> Callable[[dict[str, str], dict[str, Any]], list[Body]]:
    def tell(said: dict[str, str], _: dict[str, Any]) -> list[Body]:
        why = {"reason": said["why"]} if said.get("why") else {}
        return [makers.outcome(at(int(said["from"]), NOON), change, **why)]

    return tell


MARKET_LINE = r"day (?P<from>\d+) a competitor begins a promotion(?: in (?P<areas>.+))?"
WHO = r"customer (?P<payment>\w+) (?P<segment>\w+)(?: in (?P<area>\w+))? for (?P<months>\d+) months"
ON = r"day (?P<from>\d+) "
THROUGH = r"day (?P<from>\d+)(?:\.\.(?P<to>\d+))? "
LINES: Final[tuple[tuple[str, Callable[[dict[str, str], dict[str, Any]], list[Body]]], ...]] = (
    (WHO + r"(?:, fee (?P<fee>[\d.]+))?(?:, contract ends day (?P<ends>\d+))?", customer),
    (THROUGH + r"calls (?P<calls>\d+) times a day(?: for (?P<minutes>\d+) minutes)?(?:, (?P<drops>\d+) drop)?", uses),
    (THROUGH + r"(?P<verb>tops up|fails to top up) (?P<amount>[\d.]+)(?: every (?P<every>\d+) days)?", tops_up),
    (ON + r"complains about (?P<about>\w+)(?:, due day (?P<due>\d+))?", complains),
    (ON + r"has the (?P<about>\w+) complaint of day (?P<opened>\d+) closed", closes),
    (ON + r"(?P<verb>gives|withdraws) consent", consent),
    (ON + r"asks to port out", life("port_out_requested")),
    (ON + r"ports out", life("port_out_completed")),
    (ON + r"terminates(?: for (?P<why>\w+))?", life("terminated")),
    (ON + r"is won back", life("win_back")),
)  # fmt: skip
