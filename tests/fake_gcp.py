"""A small Google Cloud on loopback, under the real SDKs: REST over HTTP, monitoring over gRPC.

It answers in the shapes of Google's documents: pages, partial success, operations that end later.
What it was asked is counted by names of its own; faults are set by those names.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import grpc
from google.cloud import monitoring_v3

PROJECT = "ml-lab"
ZONE = "us-central1-a"
Answer: TypeAlias = tuple[int, Mapping[str, Any]]
Parts: TypeAlias = Mapping[str, str]
Handler: TypeAlias = Callable[["FakeGcp", Parts, Parts, Any], Answer]
CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
}


@dataclass
class Fault:
    """What a call is answered with, so many times; None: always."""

    status: int
    reason: str
    times: int | None
    project: str | None
    after: int
    """So many calls go well before it."""


@dataclass
class Stored:
    """One time series."""

    project: str
    metric: str
    resource: Mapping[str, str]
    labels: Mapping[str, str]
    points: Sequence[tuple[datetime, float]]
    unit: str = ""
    resource_type: str = "gce_instance"


@dataclass
class FakeGcp:
    """One Google for all tests, emptied before each."""

    url: str = ""
    monitoring: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    queries: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    """What was asked beside the path, by the name of the call."""
    bodies: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    """The `Authorization` header of each REST call."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._grpc = _monitoring(self)
        self.monitoring = f"127.0.0.1:{self._grpc[1]}"
        self.reset()

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self._grpc[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._grpc[0].stop(0).wait()

    def reset(self) -> None:
        self.calls.clear()
        self.queries.clear()
        self.bodies.clear()
        self.tokens.clear()
        self.projects: dict[str, str] = {PROJECT: "ACTIVE"}
        self.zones = ["europe-west4-a", "us-central1-a", "us-central1-b"]
        self.instances: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self.machine_types: list[dict[str, Any]] = []
        self.disks: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self.addresses: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self.snapshots: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.buckets: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.tpus: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.entries: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.skus: list[dict[str, Any]] = []
        self.granted: set[str] | None = None
        self.series: list[Stored] = []
        self.unreachable: set[tuple[str, str]] = set()
        self.warned: dict[tuple[str, str], str] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.operations: dict[str, dict[str, Any]] = {}
        self.stops_after: int | None = 1
        """How many looks at its operation a stop takes; None: it never ends."""
        self.stop_error: Mapping[str, Any] | None = None
        self.stopped: list[tuple[str, Mapping[str, str]]] = []
        """Machines that were asked to stop, and how."""
        self.endless: set[str] = set()
        """Calls whose pages never end."""
        self.edits: dict[str, Callable[[Any], Any]] = {}
        self._next_id = 1_000_000_000_000_000_000

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SPEND_WATCHDOG_GCP__ENDPOINT": self.url,
            "SPEND_WATCHDOG_GCP__MONITORING_ENDPOINT": self.monitoring,
        }

    def fail(
        self,
        call: str,
        status: int,
        *,
        reason: str = "forbidden",
        times: int | None = None,
        project: str | None = None,
        after: int = 0,
    ) -> None:
        self.faults[call].append(Fault(status, reason, times, project, after))

    def machine(
        self,
        name: str = "trainer-1",
        machine_type: str = "g2-standard-8",
        *,
        project: str = PROJECT,
        zone: str = ZONE,
        status: str = "RUNNING",
        started_at: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        **more: Any,
    ) -> str:
        """Creates an instance; its number."""
        self._next_id += 1
        began = started_at or datetime.now(UTC) - timedelta(days=2)
        base = f"https://www.googleapis.com/compute/v1/projects/{project}/zones/{zone}"
        instance = {
            "kind": "compute#instance",
            "id": str(self._next_id),
            "name": name,
            "status": status,
            "zone": base,
            "selfLink": f"{base}/instances/{name}",
            "machineType": f"{base}/machineTypes/{machine_type}",
            "creationTimestamp": _stamp(began),
            "lastStartTimestamp": _stamp(began),
            "labels": dict(labels or {}),
            "labelFingerprint": "42WmSpB8rSM=",
            "disks": [{"type": "PERSISTENT", "boot": True, "diskSizeGb": "100", "licenses": []}],
            "scheduling": {"provisioningModel": "STANDARD", "automaticRestart": True},
            "networkInterfaces": [{"networkIP": "10.128.0.7"}],
            **more,
        }
        self.instances[project, zone].append(instance)
        return str(self._next_id)

    def find(self, native: str) -> dict[str, Any]:
        return next(i for several in self.instances.values() for i in several if i["id"] == native)

    def put(
        self,
        metric: str,
        values: Sequence[float],
        *,
        machine: str,
        started_at: datetime,
        step: timedelta = timedelta(minutes=1),
        project: str = PROJECT,
        unit: str = "",
        **labels: str,
    ) -> None:
        """One series; the first value ends one step after `started_at`."""
        points = [(started_at + step * (n + 1), value) for n, value in enumerate(values)]
        resource = {"instance_id": machine, "project_id": project, "zone": ZONE}
        self.series.append(Stored(project, metric, resource, labels, points, unit))

    def quiet(self, machine: str, started_at: datetime, minutes: int, **options: Any) -> None:
        """GPU 0 at zero with an empty memory, and a host that does nothing."""
        self.gpu(machine, [0.0] * minutes, started_at, **options)
        self.host(machine, started_at, minutes, **options)

    def gpu(
        self, machine: str, values: Sequence[float], started_at: datetime, **options: Any
    ) -> None:
        labels = {"gpu_number": "0", "uuid": f"GPU-{machine}", "model": "NVIDIA L4", **options}
        self.put(
            "agent.googleapis.com/gpu/utilization",
            values,
            machine=machine,
            started_at=started_at,
            **labels,
        )
        for state, share in (("used", 3), ("free", 20_000)):
            self.put(
                "agent.googleapis.com/gpu/memory/bytes_used",
                [share * 2.0**20] * len(values),
                machine=machine,
                started_at=started_at,
                memory_state=state,
                **labels,
            )

    def host(self, machine: str, started_at: datetime, minutes: int, **options: Any) -> None:
        figures = {"cpu/utilization": 0.01, "network/received_bytes_count": 200.0}
        figures |= {"network/sent_bytes_count": 200.0, "disk/write_bytes_count": 0.0}
        for name, value in figures.items():
            self.put(
                f"compute.googleapis.com/instance/{name}",
                [value] * minutes,
                machine=machine,
                started_at=started_at,
                **options,
            )

    # What follows answers.

    def count(self, name: str, query: Mapping[str, str], token: str | None = None) -> None:
        with self._lock:
            self.calls[name] += 1
            self.queries.append((name, query))
            self.tokens.append(token)

    def fault(self, name: str, project: str | None) -> Fault | None:
        with self._lock:
            for each in self.faults[name]:
                if each.project not in {None, project}:
                    continue
                if each.after:
                    each.after -= 1
                    continue
                if each.times is None:
                    return each
                if each.times:
                    each.times -= 1
                    return each
        return None

    def aggregated(self, what: str, project: str, query: Mapping[str, str]) -> Answer:
        """As Google pages: over all zones in a row, each page with every zone that it touches."""
        stores: dict[str, Any] = {
            "instances": self.instances,
            "disks": self.disks,
            "addresses": self.addresses,
            "machineTypes": self._types(),
        }
        begin, size = int(query.get("pageToken", "0")), int(query.get("maxResults", "500"))
        regional = what == "addresses"
        places = sorted({zone.rsplit("-", 1)[0] for zone in self.zones} if regional else self.zones)
        kind = "regions" if regional else "zones"
        rows = [
            (place, each)
            for place in places
            if (project, place) not in self.unreachable
            for each in stores[what].get((project, place), ())
        ]
        items: dict[str, Any] = {}
        for place in places:
            if (project, place) in self.unreachable:
                continue
            of_place = [each for at, each in rows[begin : begin + size] if at == place]
            empty = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are none."}}
            items[f"{kind}/{place}"] = {what: of_place} if of_place else empty
            if (project, place) in self.warned:
                warning = {"code": self.warned[project, place], "message": "cannot be reached"}
                items[f"{kind}/{place}"]["warning"] = warning
        answer: dict[str, Any] = {"kind": "compute#aggregatedList", "items": items}
        gone = sorted(place for at, place in self.unreachable if at == project)
        if gone:
            if query.get("returnPartialSuccess") != "true":
                return 503, _error(503, "backendError", f"{gone[0]} cannot be reached")
            answer["unreachables"] = [f"projects/{project}/{kind}/{place}" for place in gone]
        if begin + size < len(rows) or what in self.endless:
            answer["nextPageToken"] = str(begin + size)
        return 200, answer

    def _types(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        return defaultdict(list, {(project, ZONE): self.machine_types for project in self.projects})

    def stop(self, project: str, zone: str, name: str, query: Mapping[str, str]) -> Answer:
        found = self._instance(project, zone, name)
        if found is None:
            return 404, _error(404, "notFound", f"instance {name} was not found")
        self.stopped.append((name, query))
        has_ssd = any(disk.get("type") == "SCRATCH" for disk in found["disks"])
        if has_ssd and query.get("discardLocalSsd") != "true":
            return 400, _error(400, "badRequest", "its local SSD cannot be preserved")
        operation = {
            "kind": "compute#operation",
            "name": f"operation-{len(self.operations)}",
            "zone": zone,
            "operationType": "stop",
            "status": "RUNNING",
            "targetId": found["id"],
            "looks": 0,
        }
        self.operations[str(operation["name"])] = operation
        if found["status"] == "RUNNING":
            found["status"] = "STOPPING"
        return 200, _without(operation, "looks")

    def operation(self, name: str) -> Answer:
        operation = self.operations.get(name)
        if operation is None:
            return 404, _error(404, "notFound", f"operation {name} was not found")
        operation["looks"] += 1
        if self.stops_after is not None and operation["looks"] >= self.stops_after:
            operation["status"] = "DONE"
            found = self.find(str(operation["targetId"]))
            if self.stop_error is not None:
                operation["error"] = {"errors": [self.stop_error]}
                operation["httpErrorStatusCode"] = 400
                operation["httpErrorMessage"] = "BAD REQUEST"
                found["status"] = "RUNNING"
            else:
                found["status"] = "TERMINATED"
                found["lastStopTimestamp"] = _stamp(datetime.now(UTC))
        return 200, _without(operation, "looks")

    def _instance(self, project: str, zone: str, name: str) -> dict[str, Any] | None:
        several = self.instances.get((project, zone), ())
        return next((each for each in several if each["name"] == name), None)

    def rest(self, method: str, path: str) -> tuple[str, Mapping[str, str], Handler]:
        """The call's name, the parts of its path, and what answers it."""
        for pattern, name, handler in _ROUTES:
            match = re.fullmatch(pattern, f"{method} {path}")
            if match is not None:
                told = match.groupdict()
                return name.format(what=_capital(told.get("what", ""))), told, handler
        missing = _error(404, "notFound", f"not here: {path}")
        return "other", {}, lambda _gcp, _told, _query, _body: (404, missing)

    def get_instance(self, told: Parts, _query: Parts, _body: Any) -> Answer:
        found = self._instance(told["project"], told["zone"], told["name"])
        missing = _error(404, "notFound", f"instance {told['name']} was not found")
        return (404, missing) if found is None else (200, found)

    def set_labels(self, told: Parts, _query: Parts, body: Any) -> Answer:
        found = self._instance(told["project"], told["zone"], told["name"])
        if found is None:
            return 404, _error(404, "notFound", f"instance {told['name']} was not found")
        if body.get("labelFingerprint") != found.get("labelFingerprint"):
            return 412, _error(412, "conditionNotMet", "Labels fingerprint is stale")
        found["labels"] = dict(body["labels"])
        return 200, {"kind": "compute#operation", "name": "operation-labels", "status": "RUNNING"}

    def permissions(self, _told: Parts, _query: Parts, body: Any) -> Answer:
        asked = body["permissions"]
        granted = asked if self.granted is None else [p for p in asked if p in self.granted]
        return 200, {"permissions": granted}

    def search(self, _told: Parts, query: Parts, _body: Any) -> Answer:
        listed = [{"projectId": name, "state": state} for name, state in self.projects.items()]
        return self.page("projects", listed, query)

    def list_entries(self, _told: Parts, _query: Parts, body: Any) -> Answer:
        (resource,) = body["resourceNames"]
        entries = self.entries[resource.removeprefix("projects/")]
        begin = int(body.get("pageToken") or 0)
        size = int(body.get("pageSize", 50))
        page: dict[str, Any] = {"entries": entries[begin : begin + size]}
        if begin + size < len(entries):
            page["nextPageToken"] = str(begin + size)
        return 200, page

    def page(self, key: str, rows: Sequence[Any], query: Mapping[str, str]) -> Answer:
        begin = int(query.get("pageToken") or 0)
        size = int(query.get("maxResults") or query.get("pageSize") or 500)
        page: dict[str, Any] = {key: list(rows[begin : begin + size])}
        if begin + size < len(rows) or key in self.endless:
            page["nextPageToken"] = str(begin + size)
        return 200, page

    def time_series(self, request: Any, context: Any) -> Any:
        text = request.filter
        project = request.name.removeprefix("projects/")
        self.count("monitoring:ListTimeSeries", {"filter": text, "project": project})
        fault = self.fault("monitoring:ListTimeSeries", project)
        metric = re.search(r'metric\.type\s*=\s*"([^"]+)"', text)
        if fault is not None and (not fault.reason.startswith("only ") or fault.reason[5:] in text):
            context.abort(CODES[fault.status], f"fault {fault.status}")
        assert metric is not None, text
        of_metric = [s for s in self.series if s.project == project and s.metric == metric[1]]
        if not of_metric and not metric[1].startswith("compute."):
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f'Cannot find metric(s) that match type = "{metric[1]}".',
            )
        named = re.search(r"instance_id\s*=\s*one_of\(([^)]*)\)", text)
        wanted = re.findall(r'"([^"]+)"', named[1]) if named else None
        labels = dict(re.findall(r'metric\.labels?\.(\w+)\s*=\s*"([^"]+)"', text))
        chosen = [
            each
            for each in of_metric
            if (wanted is None or each.resource.get("instance_id") in wanted)
            and all(each.labels.get(name) == value for name, value in labels.items())
        ]
        response = monitoring_v3.ListTimeSeriesResponse(
            time_series=[_series(each, request) for each in chosen],
        )
        if "timeSeries" in self.endless:
            response.next_page_token = f"{self.calls['monitoring:ListTimeSeries']}"
        return response


_PROJECT = r"/compute/v1/projects/(?P<project>[^/]+)"
_ZONE = rf"{_PROJECT}/zones/(?P<zone>[^/]+)"
_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    (
        rf"GET {_PROJECT}/aggregated/(?P<what>\w+)",
        "compute:AggregatedList{what}",
        lambda gcp, told, query, _: gcp.aggregated(told["what"], told["project"], query),
    ),
    (
        rf"GET {_ZONE}/instances/(?P<name>[^/]+)",
        "compute:GetInstance",
        FakeGcp.get_instance,
    ),
    (
        rf"POST {_ZONE}/instances/(?P<name>[^/]+)/stop",
        "compute:StopInstance",
        lambda gcp, told, query, _: gcp.stop(told["project"], told["zone"], told["name"], query),
    ),
    (
        rf"POST {_ZONE}/instances/(?P<name>[^/]+)/setLabels",
        "compute:SetLabels",
        FakeGcp.set_labels,
    ),
    (
        rf"GET {_ZONE}/operations/(?P<name>[^/]+)",
        "compute:GetOperation",
        lambda gcp, told, _, __: gcp.operation(told["name"]),
    ),
    (
        rf"GET {_PROJECT}/global/snapshots",
        "compute:ListSnapshots",
        lambda gcp, told, query, _: gcp.page("items", gcp.snapshots[told["project"]], query),
    ),
    (
        r"GET /storage/v1/b",
        "storage:ListBuckets",
        lambda gcp, _, query, __: gcp.page("items", gcp.buckets[query["project"]], query),
    ),
    (
        r"GET /v2/projects/(?P<project>[^/]+)/locations/-/nodes",
        "tpu:ListNodes",
        lambda gcp, told, query, _: gcp.page("nodes", gcp.tpus[told["project"]], query),
    ),
    (r"POST /v2/entries:list", "logging:ListEntries", FakeGcp.list_entries),
    (
        r"GET /v1/services/[^/]+/skus",
        "cloudbilling:ListSkus",
        lambda gcp, _, query, __: gcp.page("skus", gcp.skus, query),
    ),
    (r"GET /v3/projects:search", "cloudresourcemanager:SearchProjects", FakeGcp.search),
    (
        r"POST /v3/projects/(?P<project>[^/]+):testIamPermissions",
        "cloudresourcemanager:TestIamPermissions",
        FakeGcp.permissions,
    ),
)


def _handler_of(gcp: FakeGcp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            body = json.loads(raw) if raw else {}
            url = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            called, told, handler = gcp.rest(self.command, unquote(url.path))
            gcp.count(called, query, self.headers.get("authorization"))
            gcp.bodies.append((called, body))
            fault = gcp.fault(called, told.get("project") or query.get("project"))
            if fault is not None:
                self._send(fault.status, _error(fault.status, fault.reason, "as the test asks"))
                return
            status, document = handler(gcp, told, query, body)
            edit = gcp.edits.get(called)
            copied = json.loads(json.dumps(document))
            self._send(status, copied if edit is None else edit(copied))

        def do_POST(self) -> None:
            self.do_GET()

        def _send(self, status: int, body: Any) -> None:
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json; charset=UTF-8")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    return Handler


def _monitoring(gcp: FakeGcp) -> tuple[grpc.Server, int]:
    handler = grpc.unary_unary_rpc_method_handler(
        gcp.time_series,
        request_deserializer=monitoring_v3.ListTimeSeriesRequest.deserialize,
        response_serializer=monitoring_v3.ListTimeSeriesResponse.serialize,
    )
    server = grpc.server(futures.ThreadPoolExecutor(8))
    service = "google.monitoring.v3.MetricService"
    handlers = grpc.method_handlers_generic_handler(service, {"ListTimeSeries": handler})
    server.add_generic_rpc_handlers((handlers,))
    return server, server.add_insecure_port("127.0.0.1:0")


def _series(stored: Stored, request: Any) -> monitoring_v3.TimeSeries:
    """Points of the asked time, newest first; aligned where that is asked, as Google does."""
    begin, end = request.interval.start_time, request.interval.end_time
    points = [(at, value) for at, value in stored.points if begin < at <= end]
    period = request.aggregation.alignment_period.total_seconds()
    if period:
        points = list(_aligned(points, end, period, request.aggregation.per_series_aligner.name))
    return monitoring_v3.TimeSeries(
        metric={"type": stored.metric, "labels": dict(stored.labels)},
        resource={"type": stored.resource_type, "labels": dict(stored.resource)},
        unit=stored.unit,
        points=[
            monitoring_v3.Point(
                interval={"start_time": at, "end_time": at}, value={"double_value": value}
            )
            for at, value in reversed(points)
        ],
    )


def _aligned(
    points: Sequence[tuple[datetime, float]], end: datetime, period: float, aligner: str
) -> Iterator[tuple[datetime, float]]:
    by_step: dict[int, list[float]] = defaultdict(list)
    for at, value in points:
        by_step[int((end - at).total_seconds() // period)].append(value)
    for step in sorted(by_step, reverse=True):
        values = by_step[step]
        value = sum(values) if aligner == "ALIGN_SUM" else max(values)
        yield end - timedelta(seconds=period * step), value


def _error(status: int, reason: str, message: str) -> dict[str, Any]:
    told = {"message": message, "domain": "global", "reason": reason}
    return {"error": {"code": status, "message": message, "errors": [told]}}


def _without(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _stamp(moment: datetime) -> str:
    """As Compute writes times: with milliseconds and the offset of California."""
    pacific = (moment - timedelta(hours=7)).replace(tzinfo=None)
    return f"{pacific.isoformat(timespec='milliseconds')}-07:00"
