"""What the ledger's readings tell of the GPUs of one machine during one episode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watchdog.choosing_sources import FORGIVEN_COVERAGE, TRUSTED_FIRST

if TYPE_CHECKING:
    import pandas as pd

WHOLE = 0.9
"""Of so much of the time bytes must be counted before their sum is told: a part is not the sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """None: not measured."""

    last_active_at: datetime | None = None
    """End of the last interval in which a GPU was at work."""
    gpus: int | None = None
    memory_mib: int | None = None
    """Of the smallest GPU."""
    peak_memory_mib: float | None = None
    """The most in use on one GPU."""
    utilisation_mean_pct: float | None = None
    """Over GPUs and time."""
    utilisation_max_pct: float | None = None
    sent_bytes: int | None = None


NOT_MEASURED = Figures()


def figures_of(
    readings: pd.DataFrame, *, started_at: datetime, ended_at: datetime, active_pct: float
) -> Figures:
    """From rows of the view `readings_of` of one machine, of which only the span is looked at."""
    seen = readings[(readings["ended_at"] > started_at) & (readings["started_at"] < ended_at)]
    if seen.empty:
        return NOT_MEASURED
    begin = seen["started_at"].where(seen["started_at"] > started_at, started_at)
    end = seen["ended_at"].where(seen["ended_at"] < ended_at, ended_at)
    whole = (seen["ended_at"] - seen["started_at"]).dt.total_seconds()
    seen = seen.assign(
        seconds=(end - begin).dt.total_seconds(),
        part=(end - begin).dt.total_seconds() / whole,
        told_by=seen["source"].str.split(":").str[0],
    )
    of_gpus = _trusted(seen[seen["gpu"].notna()])
    hosts = _trusted(seen[seen["gpu"].isna()])
    active = of_gpus[of_gpus["utilisation_max_pct"] >= active_pct]
    return Figures(
        last_active_at=None if active.empty else active["ended_at"].max().to_pydatetime(),
        gpus=of_gpus["gpu"].nunique() or None,
        memory_mib=_whole_number(_known(of_gpus["memory_total_mib"].min())),
        peak_memory_mib=_known(of_gpus["memory_used_mib"].max()),
        utilisation_mean_pct=_mean(of_gpus),
        utilisation_max_pct=_known(of_gpus["utilisation_max_pct"].max()),
        sent_bytes=_sent(hosts, (ended_at - started_at).total_seconds()),
    )


def _trusted(seen: pd.DataFrame) -> pd.DataFrame:
    """The rows of one kind of source, chosen as a patrol chooses whom to believe."""
    if seen.empty:
        return seen
    measured = seen[seen["utilisation_max_pct"].notna()]
    seconds = measured.groupby("told_by")["seconds"].sum()
    covered = {str(kind): float(each) for kind, each in seconds.items()}
    if not covered:
        return seen.iloc[:0]
    best = max(covered.values())

    def distrust(kind: str) -> tuple[bool, int, str]:
        place = TRUSTED_FIRST.index(kind) if kind in TRUSTED_FIRST else len(TRUSTED_FIRST)
        return best - covered[kind] > FORGIVEN_COVERAGE * best, place, kind

    return seen[seen["told_by"] == min(covered, key=distrust)]


def _mean(of_gpus: pd.DataFrame) -> float | None:
    told = of_gpus[of_gpus["utilisation_mean_pct"].notna()]
    seconds = float(told["seconds"].sum())
    if not seconds:
        return None
    return round(float((told["utilisation_mean_pct"] * told["seconds"]).sum()) / seconds, 3)


def _sent(hosts: pd.DataFrame, seconds: float) -> int | None:
    told = hosts[hosts["sent_bytes"].notna()]
    if float(told["seconds"].sum()) < WHOLE * seconds:
        return None
    return round(float((told["sent_bytes"] * told["part"]).sum()))


def _known(value: Any) -> float | None:
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN


def _whole_number(value: float | None) -> int | None:
    return None if value is None else round(value)
