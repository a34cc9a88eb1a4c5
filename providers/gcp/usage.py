"""GPU, CPU, network and disk metrics from Cloud Monitoring: one call a metric type and project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from math import isnan
from typing import Any

from google.api_core.exceptions import NotFound

from policies.facts import Gap, Machine, Reading, Scope, Window
from providers.errors import AnswerCut
from providers.gcp.errors import GCP_ERRORS, gap_from
from providers.gcp.series import (
    AGENT_METERS,
    COARSE_S,
    DCGM_METERS,
    HOST_METERS,
    Grid,
    Meter,
)
from providers.gcp.session import GcpSession
from providers.gcp.tpus import is_tpu

READS = "monitoring.timeSeries.list"
WHAT = "GPU metrics"
PAGE = 100_000
"""Points that one page may hold, the most that there is."""
PAGES_AT_MOST = 200
NAMED_AT_MOST = 80
"""Machines that one filter names, which Google keeps to 2,048 characters."""
FINE_S = 300
NEAR = timedelta(hours=25)
"""A coarse window that ends so long ago at most is followed by a fine one."""
RAW_AT_MOST = timedelta(hours=25)
"""Up to here every point is read, for its maximum and its mean; beyond, Monitoring takes the
maximum or the sum of each period: two weeks of single points would be twenty thousand a GPU."""
PLAINLY_BUSY_PCT = 25.0
"""As for AWS: a machine of which some GPU always reaches this computes, whatever its host does."""

NO_SUCH_METRIC = "Cannot find metric"
"""What Monitoring answers where no machine of the project has ever reported a metric."""

HOW_TO_MEASURE = (
    "install the Ops Agent on it, which reports GPUs by itself: `curl -sSO"
    " https://dl.google.com/cloudagents/add-google-cloud-ops-agent-repo.sh && sudo bash"
    " add-google-cloud-ops-agent-repo.sh --also-install`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer that other questions of the same pass can use."""

    window: Window
    names: frozenset[str]
    """Numbers of the machines that it was asked about."""
    series: list[Any]
    aligned: bool

    def answers(self, window: Window, names: frozenset[str]) -> bool:
        whole = self.window.started_at <= window.started_at
        return whole and window.ended_at <= self.window.ended_at and names <= self.names


@dataclass(slots=True)
class UsageReader:
    """Reads metrics. An answer is kept until `forget`, so that no metric type is asked for twice.

    A first patrol reads two weeks by the hour and the last hours finely. Where that is little, one
    question over both, by five minutes, answers both.
    """

    session: GcpSession
    clock: Callable[[], datetime]
    _kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    """By project and metric type."""

    def forget(self) -> None:
        self._kept.clear()

    def kept(self, project: str, metric: str, window: Window, names: frozenset[str]) -> Kept | None:
        """What was told of these machines in this window already."""
        found = self._kept.get((project, metric))
        return found if found is not None and found.answers(window, names) else None

    def read(self, machines: Sequence[Machine], window: Window) -> tuple[list[Reading], list[Gap]]:
        """A TPU has no metric that is read here, so it is simply absent."""
        by_project: dict[str, list[Machine]] = defaultdict(list)
        for machine in machines:
            if machine.may_have_run_since(window.started_at) and not is_tpu(machine):
                by_project[machine.account].append(machine)
        answers = self.session.side_by_side(
            sorted(by_project), lambda project: self._project(by_project[project], window)
        )
        readings: list[Reading] = []
        gaps: list[Gap] = []
        for project, answer in answers.items():
            if isinstance(answer, Exception):
                gaps += _gaps(answer, by_project[project])
            else:
                readings += answer[0]
                gaps += answer[1]
        return readings, list(dict.fromkeys(gaps))

    def host(self, machine: Machine, window: Window) -> Reading | None:
        """What one machine's CPU, network and disk did; None: it could not be read whole."""
        grid = Grid(window)
        try:
            for meter in HOST_METERS:
                grid.lay(meter, self._asked(meter, window, [machine]).series, {machine.native_id})
        except GCP_ERRORS:
            return None
        return next(iter(grid.readings([machine])), None)

    def _project(
        self, machines: Sequence[Machine], window: Window
    ) -> tuple[list[Reading], list[Gap]]:
        """GPUs first, then quiet ones' hosts. Where GPUs cannot be read, no host stands in."""
        grid = Grid(window)
        gaps: list[Gap] = []
        failed: list[Machine] = []
        for meters in (AGENT_METERS, DCGM_METERS):
            asked = [each for each in machines if not grid.gpus_of(each.native_id)]
            if not asked:
                break
            try:
                told = self._series(meters[0], window, asked)
                grid.lay(meters[0], told.series, _names(asked), aligned=told.aligned)
            except GCP_ERRORS as error:
                gaps += _gaps(error, asked)
                failed = asked
                break
            measured = [each for each in asked if grid.gpus_of(each.native_id)]
            if measured:
                gaps += self._beside(grid, meters[1:], measured)
        sound = [each for each in machines if each not in failed]
        everyone = self._spanning(window, sound) is not None
        quiet = [each for each in sound if everyone or not _plainly_busy(grid, each)]
        if quiet:
            gaps += self._beside(grid, HOST_METERS, quiet)
        return grid.readings(sound), gaps

    def _beside(
        self, grid: Grid, meters: Sequence[Meter], machines: Sequence[Machine]
    ) -> list[Gap]:
        """Columns without which a reading still stands; each that fails is a gap."""

        def ask(meter: Meter) -> Kept | Exception:
            try:
                return self._series(meter, grid.window, machines)
            except GCP_ERRORS as error:
                return error

        gaps: list[Gap] = []
        answers = self.session.within_project([partial(ask, meter) for meter in meters])
        for meter, answer in zip(meters, answers, strict=True):
            if isinstance(answer, Exception):
                gaps += _gaps(answer, machines)
            else:
                grid.lay(meter, answer.series, _names(machines), aligned=answer.aligned)
        return gaps

    def _series(self, meter: Meter, window: Window, machines: Sequence[Machine]) -> Kept:
        """What is kept, else what Monitoring answers, for as long a time as may be."""
        project = machines[0].account
        found = self.kept(project, meter.metric, window, _names(machines))
        if found is None:
            found = self._asked(meter, self._spanning(window, machines) or window, machines)
            self._kept[project, meter.metric] = found
        return found

    def _spanning(self, window: Window, machines: Sequence[Machine]) -> Window | None:
        """From the beginning of a coarse window until now; None where that is too much at once."""
        now = self.clock()
        end = now - timedelta(seconds=now.timestamp() % FINE_S)
        if window.period_s < COARSE_S or end - window.ended_at > NEAR:
            return None
        whole = replace(window, ended_at=max(end, window.ended_at), period_s=FINE_S)
        gpus = sum(machine.gpus or 1 for machine in machines)
        return whole if gpus * whole.intervals <= PAGE else None

    def _asked(self, meter: Meter, window: Window, machines: Sequence[Machine]) -> Kept:
        """Every series of one metric type in one project. A filter names machines that are few."""
        text = f'metric.type="{meter.metric}"'
        if meter.only is not None:
            text += f' AND metric.labels.{meter.only[0]}="{meter.only[1]}"'
        if len(machines) <= NAMED_AT_MOST:
            named = ",".join(f'"{each.native_id}"' for each in machines)
            text += f" AND resource.labels.instance_id=one_of({named})"
        aligned = window.ended_at - window.started_at > RAW_AT_MOST
        series = fetch_series(
            self.session,
            machines[0].account,
            text,
            window,
            aligner=meter.aligner if aligned else None,
        )
        return Kept(window=window, names=_names(machines), series=series, aligned=aligned)


def fetch_series(
    session: GcpSession, project: str, text: str, window: Window, *, aligner: str | None
) -> list[Any]:
    """All pages of one question, as messages. Raises one of `GCP_ERRORS`.

    `aligner`: what Monitoring does over each period; None: it answers with every point.
    """
    from google.cloud.monitoring_v3 import (  # noqa: PLC0415 - imports gRPC
        Aggregation,
        ListTimeSeriesRequest,
        TimeInterval,
    )

    asked = ListTimeSeriesRequest(
        name=f"projects/{project}",
        filter=text,
        interval=TimeInterval(start_time=window.started_at, end_time=window.ended_at),
        view=ListTimeSeriesRequest.TimeSeriesView.FULL,
        page_size=PAGE,
    )
    if aligner is not None:
        asked.aggregation = Aggregation(
            alignment_period={"seconds": window.period_s},
            per_series_aligner=getattr(Aggregation.Aligner, aligner),
        )
    try:
        pager = session.metrics().list_time_series(
            request=asked, retry=session.retry, timeout=session.timeout
        )
    except NotFound as error:
        if NO_SUCH_METRIC in str(error.message):
            return []
        raise
    found: list[Any] = []
    before = None
    for number, page in enumerate(pager.pages):
        told = type(page).pb(page)
        session.meter.count_series(len(told.time_series))
        if told.execution_errors:
            raise AnswerCut(told.execution_errors[0].message or "a part of it failed")
        found.extend(told.time_series)
        token = page.next_page_token
        if token and (token == before or number + 1 >= PAGES_AT_MOST):
            raise AnswerCut("its pages do not end")
        before = token
    return found


def _names(machines: Sequence[Machine]) -> frozenset[str]:
    return frozenset(each.native_id for each in machines)


def _plainly_busy(grid: Grid, machine: Machine) -> bool:
    gpus = [columns["utilisation_max_pct"] for columns in grid.gpus_of(machine.native_id)]
    return bool(gpus) and all(
        any(not isnan(value) and value >= PLAINLY_BUSY_PCT for value in values)
        for values in zip(*gpus, strict=True)
    )


def _gaps(error: BaseException, machines: Sequence[Machine]) -> list[Gap]:
    """One for each region that the machines lie in: the metrics of a project are read together."""
    scopes = sorted({(each.account, each.region) for each in machines})
    return [
        gap_from(error, Scope(provider="gcp", account=account, region=region), WHAT, READS)
        for account, region in scopes
    ]
