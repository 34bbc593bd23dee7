"""What a simulation is asked for, and what it says it has made."""

from datetime import UTC, datetime
from typing import Final, Literal, get_args

from msgspec import Struct

from streams.shared.compression import Compression
from streams.shared.errors import SettingsError

LATEST_DAYS: Final = 3_660

Story = Literal["hazard", "campus", "second-sim", "contract"]
STORY_NAMES: Final[tuple[Story, ...]] = get_args(Story)


class Simulation(Struct, frozen=True, kw_only=True):
    """A simulated operator: its size, its span and how badly its records travel.

    `story` says how leaving comes about.  `days` are event-time days of 24 h from `start` at 00:00 UTC; rates are
    shares of all records, each record having at most one fault.  `drift` switches what happens to the whole market:
    outages, promotions, prices and the calendar.
    What an operator would know of these is published as well.  The same settings give the same bytes.  Raises
    `SettingsError` for a value out of range.

    >>> Simulation(subscribers=100, days=30).seed
    7
    """

    subscribers: int = 2_000
    days: int = 120
    story: Story = "hazard"
    seed: int = 7
    start: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    late: float = 0.005
    duplicated: float = 0.002
    reordered: float = 0.01
    malformed: float = 0.0001
    drift: bool = True
    compression: Compression = "none"

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated, naming the setting and what it should be."""
        if self.story not in STORY_NAMES:
            raise SettingsError(f"story is {self.story}, and should be one of {', '.join(STORY_NAMES)}")
        if not 1 <= self.subscribers <= 10_000_000:
            raise SettingsError(f"subscribers is {self.subscribers}, and should be from 1 to 10,000,000")
        if not 1 <= self.days <= LATEST_DAYS:
            raise SettingsError(f"days is {self.days}, and should be from 1 to {LATEST_DAYS:,}")
        if self.seed < 0:
            raise SettingsError(f"seed is {self.seed}, and should be 0 or more")
        if self.start.tzinfo is None:
            raise SettingsError("start has no time zone", hint="write it with an offset, as in 2024-01-01T00:00:00Z")
        if self.start.timestamp() % 86_400 != 0:
            raise SettingsError(f"start is {self.start.isoformat()}, and should be a midnight in UTC")
        for name in ("late", "duplicated", "reordered", "malformed"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise SettingsError(f"{name} is {getattr(self, name)}, and should be a share from 0 to 0.5")

    @property
    def start_ms(self) -> int:
        """Return the first moment of the simulation, ms since 1970 UTC."""
        return int(self.start.timestamp()) * 1000


class SimulationReport(Struct, frozen=True, kw_only=True):
    """What was written: good events by topic, faults by kind, who left how, and how fast it went.

    `events` counts each event once, whatever happened to it on the way; `records` counts their lines, and
    `market_events` what was published about the market.  `left` is by churn kind; `voluntary` the number among them
    that a model can learn; `wall_s` is measured, everything else repeats.
    """

    story: Story
    subscribers: int
    days: int
    events: dict[str, int]
    records: int
    market_events: int
    faults: dict[str, int]
    left: dict[str, int]
    voluntary: int
    bytes_written: int
    wall_s: float

    @property
    def events_per_s(self) -> float:
        """Return the pace at which events were made and written."""
        return sum(self.events.values()) / max(self.wall_s, 1e-9)
