"""Which AWS accelerator types have a price where they are offered: a table for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from providers.catalog.quotes import ON_DEMAND, Quote
from providers.catalog.reading import json_object


def coverage_table(folder: Path, chosen: Sequence[Quote]) -> str:
    """Markdown: every type, in how many regions it is offered, and in which of them priced."""
    priced = {
        (quote.machine_type, quote.region)
        for quote in chosen
        if quote.provider == "aws" and quote.purchase == ON_DEMAND
    }
    lines = [
        "| type | offered in | priced in | regions with a price |",
        "| --- | --: | --: | --- |",
    ]
    offered_everywhere = 0
    priced_everywhere = 0
    offerings = json_object(folder, "aws_accel_region_offerings.json")
    for machine_type, offered in sorted(offerings.items()):
        known = sorted(region for region in offered if (machine_type, region) in priced)
        offered_everywhere += len(offered)
        priced_everywhere += len(known)
        names = ", ".join(known) or "none: unknown everywhere"
        lines.append(f"| {machine_type} | {len(offered)} | {len(known)} | {names} |")
    lines.append(f"| **all** | {offered_everywhere} | {priced_everywhere} | |")
    return "\n".join(lines)
