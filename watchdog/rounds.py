"""One patrol with all that belongs around it, for the command line and for Lambda alike."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from watchdog.patrol import Parts
from watchdog.patrol import patrol as one_pass
from watchdog.recording.posting import catch_up

if TYPE_CHECKING:
    from watchdog.patrol_report import PatrolReport
    from watchdog.settings import Settings

HEARTBEAT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    report: PatrolReport
    notices: tuple[str, ...]
    """What is to be said beside the report, a line each."""


def patrol_round(settings: Settings, parts: Parts, *, backfill: timedelta | None = None) -> Round:
    """Patrols once, then tells whoever watches the watchdog: a failure there is told."""
    catch_up(settings.ledger)
    now = datetime.now(UTC)
    report = one_pass(parts, now=now, backfill=backfill)
    return Round(report=report, notices=tuple(_after(settings, parts, report, now)))


def _after(settings: Settings, parts: Parts, report: PatrolReport, now: datetime) -> Iterator[str]:
    from watchdog.alerts.second_channel import watch_channel  # noqa: PLC0415 - beside the patrol

    if parts.notifiers or parts.acting is not None:
        trouble = watch_channel(parts.ledger, report, settings.second_channel_url, now=now)
        if trouble is not None:
            yield trouble
    if report.mode == "act":
        yield from _unwatched(settings)
    trouble = _beat(settings.heartbeat_url)
    if trouble is not None:
        yield trouble


def _unwatched(settings: Settings) -> Iterator[str]:
    if settings.heartbeat_url is None:
        yield "acting without heartbeat_url: nobody would notice that the watchdog fell silent"
    if settings.second_channel_url is None:
        yield "acting without second_channel_url: nobody would hear that Slack is down"


def _beat(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        with urllib.request.urlopen(url, timeout=HEARTBEAT_S):  # noqa: S310 - the operator's own
            return None
    except (OSError, ValueError) as error:
        return f"heartbeat to {url} failed: {error}"
