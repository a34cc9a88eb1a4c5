"""Where the tables are, and what reads and writes them."""

from dataclasses import dataclass

from watchdog.ledger.delta import DeltaTables
from watchdog.ledger.engine import Engine
from watchdog.ledger.location import Location
from watchdog.ledger.objects import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    location: Location
    objects: Objects
    tables: DeltaTables
    engine: Engine
