"""GPU, CPU, network and disk metrics from Cloud Monitoring: one call a metric type and project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import isnan
from typing import Any

from google.api_core.exceptions import NotFound

from policies.facts import Gap, Machine, Reading, Scope, Window
from providers.gcp.errors import GCP_ERRORS, AnswerCut, gap_from
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
PLAINLY_BUSY_PCT = 25.0
"""As for AWS: a machine of which some GPU always reaches this computes, whatever its host does."""

NO_SUCH_METRIC = "Cannot find metric"
"""What Monitoring answers where no machine of the project has ever reported a metric."""

HOW_TO_MEASURE = (
    "install the Ops Agent on it, which reports GPUs by itself: `curl -sSO"
    " https://dl.google.com/cloudagents/add-google-cloud-ops-agent-repo.sh && sudo bash"
    " add-google-cloud-ops-agent-repo.sh --also-install`"
)


@dataclass(slots=True)
class UsageReader:
    session: GcpSession
    clock: Callable[[], datetime]

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
                self._lay(grid, meter, [machine])
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
                self._lay(grid, meters[0], asked)
            except GCP_ERRORS as error:
                gaps += _gaps(error, asked)
                failed = asked
                break
            measured = [each for each in asked if grid.gpus_of(each.native_id)]
            if measured:
                gaps += self._beside(grid, meters[1:], measured)
        sound = [each for each in machines if each not in failed]
        quiet = [each for each in sound if not _plainly_busy(grid, each)]
        if quiet:
            gaps += self._beside(grid, HOST_METERS, quiet)
        return grid.readings(sound), gaps

    def _beside(
        self, grid: Grid, meters: Sequence[Meter], machines: Sequence[Machine]
    ) -> list[Gap]:
        """Columns without which a reading still stands; each that fails is a gap."""
        wanted = frozenset(each.native_id for each in machines)

        def ask(meter: Meter) -> list[Any] | Exception:
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
                grid.lay(meter, answer, wanted)
        return gaps

    def _lay(self, grid: Grid, meter: Meter, machines: Sequence[Machine]) -> None:
        wanted = frozenset(each.native_id for each in machines)
        grid.lay(meter, self._series(meter, grid.window, machines), wanted)

    def _series(self, meter: Meter, window: Window, machines: Sequence[Machine]) -> list[Any]:
        """Every series of one metric type in one project. A filter names machines that are few."""
        text = f'metric.type="{meter.metric}"'
        if meter.only is not None:
            text += f' AND metric.labels.{meter.only[0]}="{meter.only[1]}"'
        if len(machines) <= NAMED_AT_MOST:
            named = ",".join(f'"{each.native_id}"' for each in machines)
            text += f" AND resource.labels.instance_id=one_of({named})"
        project = machines[0].account
        return fetch_series(self.session, project, text, window, aligner=meter.aligner)


def fetch_series(
    session: GcpSession, project: str, text: str, window: Window, *, aligner: str
) -> list[Any]:
    """All pages of one question, as messages. Raises one of `GCP_ERRORS`."""
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
    if window.period_s >= COARSE_S:
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
