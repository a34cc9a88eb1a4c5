"""What a provider tells of bytes that leave: by the clock hour, with what a GB of them costs.

A GB is 2^30 bytes, as the clouds bill it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from policies.facts import NO_TAGS, Scope

BYTES_A_GB = 2**30
INTERNET = "Data Transfer"
"""Service of everything that leaves, in the words of bills: its volume decides the tier."""
NAT_PROCESSING = "NAT Gateway"
"""Service of what a NAT gateway processes; what then leaves is data transfer as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """From this volume of the month on, a GB costs this much."""

    from_gb: Decimal
    usd_per_gb: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a GB costs, by how much the account has moved in the month so far."""

    service: str
    """`INTERNET` or `NAT_PROCESSING`. An account's meters of one service share its tiers."""
    tiers: tuple[Tier, ...]
    """Ascending from zero; empty: nobody could price it."""
    source: str | None
    as_of: str | None
    """Date of the source, ISO 8601; None: it does not say."""
    why: str | None = None
    """Why there is no price, or what the price leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressCounter:
    """One counter of bytes that leave a machine, a bucket or a NAT gateway."""

    id: str
    """`provider:account:region:native-id` of what is counted; a machine's is the machine's own."""
    kind: str
    """`machine`, `bucket` or `nat-gateway`."""
    scope: Scope
    name: str | None
    hours: Mapping[datetime, int]
    """Bytes by the beginning of a clock hour. An hour that was not measured is not in it."""
    reach: str
    """`internet`, or `all` where the counter cannot tell."""
    tariff: Tariff
    tags: Mapping[str, str] | None = field(default_factory=lambda: NO_TAGS)
    """None: they could not be read, so whose it is is not to be judged anew."""
    why: tuple[str, ...] = ()
    """What the counter cannot tell apart, and what was left out."""

    @property
    def upper_bound(self) -> bool:
        """Whether the tariff is that of the internet, and some of it may not have gone there."""
        return self.reach == "all" and self.tariff.service == INTERNET
