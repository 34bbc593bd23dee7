"""What all subscribers share: areas, cells and their quality, and the calendar of what happens to everybody."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.core.times import DAY_MS
from streams.simulate import rates
from streams.simulate.occasions import Kind, Occasion, occasions_of
from streams.simulate.simulation import Simulation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SCHOOL_BREAKS: Final = (((1, 13), (2, 25)), ((5, 1), (5, 5)), ((7, 6), (8, 31)), ((10, 1), (10, 7)))
"""(month, day) first and last day away from campus, by the calendar of a Chinese university."""
EXAMS: Final = (((1, 2), (1, 12)), ((6, 20), (7, 5)))

REPAIRED_AFTER_DAYS: Final = 25
"""How long a cell that has decayed stays as it is before somebody mends it."""

WORLD_STREAM, CHUNK_STREAM, FAULT_STREAM, OCCASION_STREAM = range(4)


def generator(seed: int, *path: int) -> np.random.Generator:
    """Return the random stream at `path` below `seed`: independent of all others, the same on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=path)))


@dataclass(frozen=True, slots=True)
class World:
    """The operator's network and its calendar.

    `cell_area` gives each cell's area; `cell_drop` and `cell_setup` its share of calls dropped or failed on a normal
    day.  `outage` is (first day, last day, areas hit), `promotion` the same for the competitor; both empty areas when
    drift is off, and in stories that have `occasions` instead.
    """

    start_ms: int
    days: int
    drift: bool
    area_ids: tuple[str, ...]
    cell_ids: tuple[str, ...]
    cell_area: Ints
    cell_drop: Floats
    cell_setup: Floats
    outage: tuple[int, int, Bools]
    promotion: tuple[int, int, Bools]
    occasions: tuple[Occasion, ...] = ()

    def day_ms(self, day: int) -> int:
        """Return the first moment of a day, ms since 1970 UTC."""
        return self.start_ms + day * DAY_MS

    def date(self, day: int) -> date:
        """Return the calendar's date of a day."""
        return (datetime.fromtimestamp(self.start_ms / 1000, UTC) + timedelta(days=day)).date()

    def trouble(self, day: int) -> Floats:
        """Return by how much each cell drops and refuses more calls than on a normal day."""
        first, last, areas = self.outage
        factor = np.ones(len(self.cell_ids))
        if first <= day <= last:
            factor = np.where(areas[self.cell_area], rates.OUTAGE_FACTOR, 1.0)
        for occasion in self.occasions:
            if occasion.kind == "outage" and occasion.runs(day):
                factor = np.where(occasion.areas[self.cell_area], occasion.strength, factor)
            elif occasion.kind == "decay" and occasion.first <= day and occasion.cells is not None:
                grown = min((day - occasion.first) / max(occasion.last - occasion.first, 1), 1.0)
                if day <= occasion.last + REPAIRED_AFTER_DAYS:
                    factor = np.where(occasion.cells, factor * (1.0 + grown * (occasion.strength - 1.0)), factor)
        return factor

    def running(self, kind: Kind, day: int) -> list[Occasion]:
        """Return the occasions of a kind that run on this day."""
        return [occasion for occasion in self.occasions if occasion.kind == kind and occasion.runs(day)]

    def promoted_areas(self, day: int) -> Bools:
        """Return the areas in which a competitor runs a promotion on this day."""
        first, last, areas = self.promotion
        found = areas.copy() if first <= day <= last else np.zeros_like(areas)
        for promotion in self.running("promotion", day):
            found |= promotion.areas
        return found

    def campus_use(self, day: int) -> float:
        """Return what is left of a student's usual use on this day: the fade that means nothing."""
        if not self.drift:
            return 1.0
        today = self.date(day)
        if _within(today, SCHOOL_BREAKS):
            return rates.BREAK_USE
        return rates.EXAM_USE if _within(today, EXAMS) else 1.0


def _within(today: date, spans: tuple[tuple[tuple[int, int], tuple[int, int]], ...]) -> bool:
    return any(first <= (today.month, today.day) <= last for first, last in spans)


def build_world(settings: Simulation) -> World:
    """Draw the network and the calendar of a simulation."""
    rng = generator(settings.seed, WORLD_STREAM)
    areas, cells = rates.AREAS, rates.AREAS * rates.CELLS_PER_AREA
    quality = rng.normal(0.0, rates.CELL_SPREAD, cells)
    hit, offered = (rng.permutation(areas) < share * areas for share in (rates.OUTAGE_AREAS, rates.PROMOTION_AREAS))
    outage_first, promotion_first = (int(share * settings.days) for share in (rates.OUTAGE_AT, rates.PROMOTION_AT))
    if not settings.drift or settings.story != "hazard":
        hit, offered = np.zeros(areas, dtype=np.bool_), np.zeros(areas, dtype=np.bool_)
    return World(
        start_ms=settings.start_ms,
        days=settings.days,
        drift=settings.drift,
        area_ids=tuple(f"4403{area // 6 + 1:02d}-{area % 6 + 1:02d}" for area in range(areas)),
        cell_ids=tuple(f"460-00-{0x1A2B000 + cell:07X}" for cell in range(cells)),
        cell_area=np.arange(cells, dtype=np.int64) // rates.CELLS_PER_AREA,
        cell_drop=np.clip(rates.DROP_SHARE * np.exp(quality), 0.0, 0.2),
        cell_setup=np.clip(rates.SETUP_SHARE * np.exp(0.7 * quality + rng.normal(0.0, 0.3, cells)), 0.0, 0.2),
        outage=(outage_first, outage_first + rates.OUTAGE_DAYS - 1, hit),
        promotion=(promotion_first, promotion_first + int(rates.PROMOTION_SPAN * settings.days), offered),
        occasions=occasions_of(generator(settings.seed, OCCASION_STREAM), settings),
    )
