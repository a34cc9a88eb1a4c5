"""The view `egress_metered`: an account's volume of the month, in detail from a given hour on."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.builders import NOW
from watchdog.ledger.store import Ledger

MONTH = datetime(2026, 11, 1, tzinfo=NOW.tzinfo)
HOUR = timedelta(hours=1)


def charged(ledger: Ledger, at: datetime, gb: int, **changes: Any) -> None:
    row = {
        "ProviderName": "aws",
        "SubAccountId": "1",
        "ResourceId": "i-1",
        "ServiceName": "Data Transfer",
        "x_Meter": "egress",
        "x_Phase": "unknown",
        "ChargePeriodStart": at,
        "ChargePeriodEnd": at + HOUR,
        "ConsumedQuantity": Decimal(gb),
        "ConsumedUnit": "GB",
        "ListCost": Decimal(gb) / 10,
        "date": f"{at:%Y-%m-%d}",
        "observed_at": NOW,
    }
    ledger.append("charges", [row | changes])


def told(ledger: Ledger) -> list[tuple[object, object, object, str]]:
    """Account, resource, hour and volume."""
    rows = ledger.rows("egress_metered", since=MONTH, detailed_from=NOW)
    found = [(r["account"], r["resource"], r["hour"], f"{r['gb']:.0f}") for r in rows]
    return sorted(found, key=str)


def test_older_hours_are_one_row_an_account_and_service(ledger: Ledger) -> None:
    charged(ledger, NOW - 2 * HOUR, 5)
    charged(ledger, NOW - HOUR, 7, ResourceId="i-2")
    charged(ledger, NOW - HOUR, 9, SubAccountId="2", ResourceId="i-3")
    charged(ledger, NOW - HOUR, 4, ResourceId="nat-1", ServiceName="NAT Gateway")
    charged(ledger, NOW, 11)
    charged(ledger, NOW, 13, ResourceId="i-2")
    assert told(ledger) == [
        ("1", "i-1", NOW, "11"),
        ("1", "i-2", NOW, "13"),
        ("1", None, None, "12"),
        ("1", None, None, "4"),
        ("2", None, None, "9"),
    ]


def test_an_hour_that_was_written_again_counts_once(ledger: Ledger) -> None:
    for at in (NOW - HOUR, NOW):
        charged(ledger, at, 5)
        charged(ledger, at, 8, observed_at=NOW + HOUR)
        charged(ledger, at, 6, observed_at=NOW + timedelta(minutes=5))
    assert told(ledger) == [("1", "i-1", NOW, "8"), ("1", None, None, "8")]


def test_other_meters_and_other_months_are_left_out(ledger: Ledger) -> None:
    charged(ledger, MONTH - HOUR, 100)
    charged(ledger, NOW - HOUR, 100, x_Meter="storage")
    charged(ledger, NOW - HOUR, 100, x_Meter="compute", ConsumedUnit="Hours")
    charged(ledger, MONTH, 3)
    assert told(ledger) == [("1", None, None, "3")]
