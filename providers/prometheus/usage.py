"""Readings of any provider's machines: one range query a metric, however many machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from policies.facts import Gap, Machine, Reading, Window
from providers.base import Probe, Seen
from providers.prometheus.dcgm import (
    METRICS,
    TELL_ACTIVITY,
    UTILISATION,
    Collected,
    Metric,
    expression,
    readings_of,
)
from providers.prometheus.http_api import (
    POINTS_AT_MOST,
    PrometheusApi,
    PrometheusError,
    PrometheusUnreachable,
    RangeSeries,
)
from providers.prometheus.joining import JOIN_LABELS, Joining

WHAT = "GPU metrics"
JUST_BEFORE_S = 0.001
"""An interval ends before the next one's first instant; Prometheus looks back from its end."""
CLOCKS_APART_AT_MOST_S = 60.0
EXAMPLES = 3


class PrometheusUsage:
    """Reads DCGM metrics from one Prometheus server, for machines of every provider."""

    name = "prometheus"

    def __init__(
        self,
        url: str,
        *,
        join_labels: Sequence[str] = JOIN_LABELS,
        timeout_s: float = 30.0,
        api: Callable[..., PrometheusApi] = PrometheusApi,
    ) -> None:
        self._api = api(url, timeout_s=timeout_s)
        self._join_labels = tuple(join_labels)

    def readings(
        self, machines: Sequence[Machine], window: Window, *, beside: Sequence[Machine] = ()
    ) -> Seen[Reading]:
        """Readings of these machines; `beside`: others that a label may mean as well.

        A machine that Prometheus does not know is simply absent. What several machines share is
        given to none of them.
        """
        if not machines or not window.intervals:
            return Seen()
        everyone = {machine.id: machine for machine in (*machines, *beside)}
        joining = Joining(everyone.values(), self._join_labels)
        collected = Collected()
        troubles: dict[str, list[str]] = {}
        for metric in METRICS:
            try:
                warnings = self._collect(metric, window, joining, collected)
            except PrometheusError as error:
                troubles.setdefault(str(error), []).append(metric.name)
                if isinstance(error, PrometheusUnreachable):
                    break
            else:
                for warning in warnings:
                    troubles.setdefault(f"incomplete: {warning}", []).append(metric.name)
        gaps = [
            *self._troubles(troubles),
            *self._clocks(),
            *self._unknown(collected, troubles, joining, window),
            *self._ambiguous(joining),
        ]
        return Seen(values=tuple(readings_of(collected, machines, window)), gaps=tuple(gaps))

    def api_calls(self) -> Mapping[str, int]:
        return {"prometheus:query_range": self._api.calls} if self._api.calls else {}

    def probe(self, now: datetime) -> Probe:
        """Whether it answers, and of how many GPUs it can tell now."""
        one_each = f"max without (__name__) ({' or '.join(TELL_ACTIVITY)})"
        at = now.timestamp()
        try:
            answer = self._api.query_range(f"count({one_each})", first_s=at, last_s=at, step_s=60)
            gpus = int(float(answer.series[0].points[-1][1])) if answer.series else 0
        except (PrometheusError, IndexError, TypeError, ValueError) as error:
            why = str(error) if isinstance(error, PrometheusError) else "not understood"
            return Probe(what=WHAT, ok=False, told=f"{self._api.place}: {why}")
        if not gpus:
            told = f"{self._api.place} answers and knows no {UTILISATION}: let it scrape"
            return Probe(what=WHAT, ok=None, told=f"{told} dcgm-exporter")
        return Probe(what=WHAT, ok=True, told=f"{self._api.place} tells of {gpus} GPUs")

    def _collect(
        self, metric: Metric, window: Window, joining: Joining, collected: Collected
    ) -> list[str]:
        """A whole metric into `collected`, or nothing of it; the warnings beside it."""
        warnings: list[str] = []
        answers: list[RangeSeries] = []
        for part in _parts(window):
            first_s = part.started_at.timestamp() + part.period_s - JUST_BEFORE_S
            answer = self._api.query_range(
                expression(metric, part.period_s),
                first_s=first_s,
                last_s=first_s + part.period_s * (part.intervals - 1),
                step_s=part.period_s,
            )
            warnings.extend(answer.warnings)
            answers.extend(answer.series)
        first_s = window.started_at.timestamp() + window.period_s - JUST_BEFORE_S
        collected.add(metric, answers, joining, first_s=first_s, window=window)
        return warnings

    def _troubles(self, troubles: Mapping[str, Sequence[str]]) -> list[Gap]:
        if not troubles:
            return []
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in troubles.items())
        return [self._gap(told)]

    def _clocks(self) -> list[Gap]:
        ahead = self._api.clock_ahead_s
        if ahead is None or abs(ahead) <= CLOCKS_APART_AT_MOST_S:
            return []
        where = "ahead of" if ahead > 0 else "behind"
        why = (
            f"its clock is {abs(ahead) / 60:.0f} minutes {where} this machine's, so its readings"
            " are placed wrongly by as much: let both follow a time server"
        )
        return [self._gap(why)]

    def _unknown(
        self,
        collected: Collected,
        troubles: Mapping[str, Sequence[str]],
        joining: Joining,
        window: Window,
    ) -> list[Gap]:
        """An empty answer is a gap, never zero. Where a question failed, that was told already."""
        failed = {name for names in troubles.values() for name in names}
        if not collected.told.intersection(TELL_ACTIVITY):
            if failed.intersection(TELL_ACTIVITY):
                return []
            since, until = window.started_at, window.ended_at
            why = (
                f"knows no {UTILISATION} from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC:"
                " let it scrape dcgm-exporter"
            )
            return [self._gap(why)]
        if collected.nameless:
            why = f"{collected.nameless} series have neither a label gpu nor UUID and are not used"
            return [self._gap(why)]
        if joining.fitted or joining.ambiguous:
            return []
        seen = ", ".join(list(joining.strangers)[:EXAMPLES])
        labels = ", ".join(self._join_labels)
        why = (
            f"none of its GPUs fits a machine here by the labels {labels}; seen: {seen}; set"
            " prometheus.join_labels to the label that holds the instance's id, name or address"
        )
        return [self._gap(why)]

    def _ambiguous(self, joining: Joining) -> list[Gap]:
        return [
            self._gap(
                f"{label} fits {len(ids)} machines ({', '.join(ids[:EXAMPLES])}), so its GPUs are"
                " given to none: add a label instance_id or vm_id to the scrape target"
            )
            for label, ids in joining.ambiguous.items()
        ]

    def _gap(self, why: str) -> Gap:
        return Gap(provider=self.name, what=WHAT, why=f"Prometheus at {self._api.place}: {why}")


def _parts(window: Window) -> list[Window]:
    """The window in parts of as many points as one answer may hold."""
    step = timedelta(seconds=window.period_s * POINTS_AT_MOST)
    parts = []
    begin = window.started_at
    while begin < window.ended_at:
        part = replace(window, started_at=begin, ended_at=min(begin + step, window.ended_at))
        if part.intervals:
            parts.append(part)
        begin += step
    return parts
