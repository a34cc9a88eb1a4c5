"""Azure on loopback, under the real SDKs: an own server over TLS, and an identity service.

    with AzureServer() as azure:
        azure.add(vm("trainer", size="Standard_NC24ads_A100_v4"))
        azure.put_metric(azure.machine("trainer"), "Percentage CPU", [2.0] * 36, started_at=...)
        monkeypatch.setenv(...)  # each of azure.environment
        assert azure.calls["resourcegraph:ListResources"] == 1

It counts, faults and answers like Azure Resource Manager, Resource Graph, Azure Monitor's batches,
the Activity Log and Retail Prices, as far as the adapter asks. What Azure answers is written here
after its documents and after recorded answers; names of operations are the server's own.
"""

from __future__ import annotations

import json
import re
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from uuid import NAMESPACE_URL, uuid5

import trustme

ONE = "11111111-1111-1111-1111-111111111111"
TWO = "22222222-2222-2222-2222-222222222222"
SIZE = "Standard_NC6s_v3"
"""One V100, a temporary disk and no local NVMe."""
SECRET = "the-identity-header"
CREATED = "2026-01-01T00:00:00.1234567+00:00"
VM_TYPE = "microsoft.compute/virtualmachines"
SCALE_SET_TYPE = "microsoft.compute/virtualmachinescalesets"
MEMBER_TYPE = f"{SCALE_SET_TYPE}/virtualmachines"

Raw = dict[str, Any]
_NAMES = (
    ("POST", "/providers/microsoft.resourcegraph/resources", "resourcegraph:ListResources"),
    ("POST", "/metrics:getbatch", "metrics:GetBatch"),
    ("POST", "/deallocate", "compute:Deallocate"),
    ("POST", "/poweroff", "compute:PowerOff"),
    ("GET", "/skus", "compute:ListSkus"),
    ("GET", "/locks", "authorization:ListLocks"),
    ("GET", "/eventtypes/management/values", "insights:ListEvents"),
    ("GET", "/retail/prices", "prices:ListPrices"),
    ("GET", "/subscriptions", "subscriptions:ListSubscriptions"),
)


def vm(
    name: str,
    *,
    size: str = SIZE,
    subscription: str = ONE,
    location: str = "eastus",
    power: str | None = "running",
    tags: Mapping[str, str] | None = None,
    group: str = "lab",
    **properties: Any,
) -> Raw:
    """A row of Resource Graph. `power` None: Azure does not tell at the moment."""
    base = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute"
    extended: Raw = {"instanceView": {"hyperVGeneration": "V2"}}
    if power is not None:
        extended["instanceView"]["powerState"] = {
            "code": f"PowerState/{power}",
            "level": "Info",
            "displayStatus": f"VM {power}",
        }
    return {
        "id": f"{base}/virtualMachines/{name}",
        "name": name,
        "type": VM_TYPE,
        "subscriptionId": subscription,
        "resourceGroup": group,
        "location": location,
        "zones": None,
        "tags": dict(tags or {}),
        "managedBy": "",
        "sku": None,
        "properties": {
            "vmId": str(uuid5(NAMESPACE_URL, f"{base}/{name}")),
            "hardwareProfile": {"vmSize": size},
            "provisioningState": "Succeeded",
            "timeCreated": CREATED,
            "storageProfile": {
                "osDisk": {"osType": "Linux", "managedDisk": {"id": f"{base}/disks/{name}-os"}},
                "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc"},
            },
            "osProfile": {"computerName": f"{name}-host"},
            "extended": extended,
            **properties,
        },
    }


def member(
    scale_set: str,
    number: int,
    *,
    size: str = SIZE,
    subscription: str = ONE,
    location: str = "eastus",
    power: str = "running",
    tags: Mapping[str, str] | None = None,
) -> Raw:
    """A row of a Uniform scale set's member, which has its size as its SKU."""
    raw = vm(
        str(number),
        size=size,
        subscription=subscription,
        location=location,
        power=power,
        tags=tags,
    )
    base = raw["id"].split("/virtualMachines/")[0]
    raw["id"] = f"{base}/virtualMachineScaleSets/{scale_set}/virtualMachines/{number}"
    raw["type"] = MEMBER_TYPE
    raw["sku"] = {"name": size, "tier": "Standard"}
    raw["properties"]["vmId"] = str(uuid5(NAMESPACE_URL, raw["id"]))
    raw["properties"]["osProfile"]["computerName"] = f"{scale_set}{number:06d}"
    del raw["properties"]["hardwareProfile"]
    return raw


def scale_set(
    name: str, *, size: str = SIZE, subscription: str = ONE, mode: str = "Uniform"
) -> Raw:
    raw = member(name, 0, size=size, subscription=subscription)
    raw["id"] = raw["id"].rsplit("/virtualMachines/", 1)[0]
    raw["type"] = SCALE_SET_TYPE
    raw["name"] = name
    raw["properties"] = {"orchestrationMode": mode, "provisioningState": "Succeeded"}
    return raw


@dataclass(slots=True)
class Fault:
    operation: str
    subscription: str | None
    status: int
    code: str
    times: int
    headers: Mapping[str, str]
    after: int


@dataclass(slots=True)
class Operation:
    """A stop that was accepted."""

    resource: Raw
    polls_left: int
    fails: str | None


@dataclass(slots=True)
class State:
    resources: list[Raw] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=lambda: [ONE])
    metrics: dict[tuple[str, str], dict[datetime, float]] = field(default_factory=dict)
    locks: dict[str, list[Raw]] = field(default_factory=dict)
    events: list[Raw] = field(default_factory=list)
    skus: list[Raw] = field(default_factory=list)
    prices: list[Raw] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    queries: list[Raw] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    page: int = 1000
    never_ends: bool = False
    stop_takes_polls: int = 1
    stop_fails: str | None = None
    changed_at: dict[str, str] = field(default_factory=dict)
    instead: dict[str, Any] = field(default_factory=dict)
    """By operation, what is answered whatever is asked."""


class AzureServer:
    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.tokens: set[str] = set()
        self.state = State()
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_bundle = Path(self._folder.name) / "ca.pem"
        authority = trustme.CA()
        self.ca_bundle.write_bytes(authority.cert_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self._https = _Server(("127.0.0.1", 0), _handler(self))
        self._https.socket = context.wrap_socket(self._https.socket, server_side=True)
        self._identity = _Server(("127.0.0.1", 0), _IdentityService)

    def __enter__(self) -> Self:
        for server in (self._https, self._identity):
            threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
            ).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._https, self._identity):
            server.shutdown()
            server.server_close()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._https.server_port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a shell needs to find this Azure and no other."""
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._identity.server_port}/token",
            "IDENTITY_HEADER": SECRET,
            "SPEND_WATCHDOG_AZURE__ENDPOINT": self.url,
            "SPEND_WATCHDOG_AZURE__CA_BUNDLE": str(self.ca_bundle),
        }

    def reset(self) -> None:
        self.state = State()
        self.calls.clear()
        self.tokens.clear()

    def add(self, *resources: Raw) -> None:
        self.state.resources += resources
        for each in resources:
            if each["subscriptionId"] not in self.state.subscriptions:
                self.state.subscriptions.append(each["subscriptionId"])

    def machine(self, name: str) -> Raw:
        return next(each for each in self.state.resources if each["name"] == name)

    def power(self, name: str) -> str:
        view = self.machine(name)["properties"]["extended"]["instanceView"]
        return str(view["powerState"]["code"]).removeprefix("PowerState/")

    def fail(
        self,
        operation: str,
        subscription: str | None = None,
        *,
        status: int = 403,
        code: str = "AuthorizationFailed",
        times: int = 10**6,
        after: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """From now on, `times` times, once `after` more have been answered well."""
        self.state.faults.append(
            Fault(operation, subscription, status, code, times, headers or {}, after)
        )

    def put_metric(
        self,
        resource: Raw,
        name: str,
        values: Sequence[float],
        *,
        started_at: datetime,
        period_s: int = 300,
    ) -> None:
        """Points of a metric, each for one period."""
        series = self.state.metrics.setdefault((resource["id"].lower(), name), {})
        for index, value in enumerate(values):
            series[started_at + timedelta(seconds=index * period_s)] = value

    def lock(self, resource: Raw, level: str, name: str = "hands-off") -> None:
        self.state.locks.setdefault(resource["id"].lower(), []).append(
            {"name": name, "properties": {"level": level, "notes": ""}}
        )

    def event(self, resource: Raw, operation: str, at: datetime, *, by: str = "ana") -> None:
        """One entry of the Activity Log: an operation that succeeded."""
        self.state.events.append(
            {
                "eventTimestamp": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z",
                "resourceId": resource["id"],
                "operationName": {"value": operation},
                "status": {"value": "Succeeded"},
                "subStatus": {"value": ""},
                "caller": by,
                "subscriptionId": resource["subscriptionId"],
            }
        )

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any, Mapping[str, str]]:
        url = urlsplit(target)
        name = _name(method, url.path)
        asked = json.loads(body) if body else {}
        with self._lock:
            self.calls[name] += 1
            self.state.asked.append(f"{method} {target}")
            fault = self._fault(name, url.path, asked)
        if fault is not None:
            error = {"error": {"code": fault.code, "message": f"{fault.code} of {name}"}}
            return fault.status, error, fault.headers
        if name in self.state.instead:
            return 200, self.state.instead[name], {}
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        handler: Any = self._handlers.get(name, AzureServer._get_resource)
        status, told, headers = handler(self, url.path, query, asked)
        return status, told, headers

    def _fault(self, name: str, path: str, asked: Raw) -> Fault | None:
        text = (path + json.dumps(asked)).lower()
        for each in self.state.faults:
            concerned = each.subscription is None or each.subscription.lower() in text
            if each.operation == name and concerned and each.times > 0:
                if each.after > 0:
                    each.after -= 1
                    continue
                each.times -= 1
                return each
        return None

    def _graph(self, _: str, __: Mapping[str, str], asked: Raw) -> Any:
        self.state.queries.append(asked)
        query = str(asked["query"]).lower()
        types = set(re.findall(r"'(microsoft\.[^']+)'", query))
        if query.startswith("resources"):
            types.discard(MEMBER_TYPE)
        wanted = {each.lower() for each in asked.get("subscriptions") or self.state.subscriptions}
        rows = [
            each
            for each in self.state.resources
            if each["type"] in types and each["subscriptionId"].lower() in wanted
        ]
        rows = [each for each in rows if "startswith" not in query or _is_n(each)]
        rows.sort(key=lambda each: str(each["id"]))
        options = asked["options"]
        begin = int(options.get("$skipToken") or 0)
        size = min(self.state.page, int(options.get("$top", 100)))
        page = rows[begin : begin + size]
        answer: Raw = {
            "totalRecords": len(rows),
            "count": len(page),
            "resultTruncated": "false",
            "facets": [],
            "data": page,
        }
        if self.state.never_ends:
            return 200, answer | {"$skipToken": str(begin)}, {}
        more = begin + size < len(rows)
        return 200, answer | ({"$skipToken": str(begin + size)} if more else {}), {}

    def _subscriptions(self, _: str, __: Mapping[str, str], ___: Raw) -> Any:
        value = [
            {"subscriptionId": each, "displayName": each[:4], "state": "Enabled"}
            for each in self.state.subscriptions
        ]
        return 200, {"value": value}, {}

    def _batch(self, _: str, query: Mapping[str, str], asked: Raw) -> Any:
        assert len(asked["resourceids"]) <= 50
        begin, end = _time(query["starttime"]), _time(query["endtime"])
        period = _period(query["interval"])
        names = query["metricnames"].split(",")
        values = [
            {
                "starttime": query["starttime"],
                "endtime": query["endtime"],
                "interval": query["interval"],
                "namespace": query["metricnamespace"],
                "resourceregion": "eastus",
                "resourceid": resource,
                "value": [
                    self._metric(resource, name, begin, end, period, query["aggregation"])
                    for name in names
                ],
            }
            for resource in asked["resourceids"]
        ]
        return 200, {"values": values}, {}

    def _metric(
        self,
        resource: str,
        name: str,
        begin: datetime,
        end: datetime,
        period: timedelta,
        aggregation: str,
    ) -> Raw:
        points = self.state.metrics.get((resource.lower(), name), {})
        wanted = aggregation.lower().split(",")
        data = []
        moment = begin
        while moment < end:
            inside = [value for at, value in points.items() if moment <= at < moment + period]
            point: Raw = {"timeStamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
            if inside:
                told = {
                    "average": sum(inside) / len(inside),
                    "maximum": max(inside),
                    "total": sum(inside),
                }
                point |= {each: told[each] for each in wanted}
            data.append(point)
            moment += period
        return {
            "id": f"{resource}/providers/Microsoft.Insights/metrics/{name}",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": name, "localizedValue": name},
            "unit": "Percent",
            "errorCode": "Success",
            "timeseries": [{"metadatavalues": [], "data": data}] if points else [],
        }

    def _locks(self, path: str, _: Mapping[str, str], __: Raw) -> Any:
        resource = path.lower().split("/providers/microsoft.authorization")[0]
        found = [
            each
            for of, several in self.state.locks.items()
            for each in several
            if resource.startswith(of)
        ]
        return 200, {"value": found}, {}

    def _events(self, path: str, query: Mapping[str, str], _: Raw) -> Any:
        subscription = path.split("/")[2].lower()
        begin, end = re.findall(r"eventTimestamp [gl]e '([^']+)'", query["$filter"])
        found = [
            each
            for each in self.state.events
            if each["subscriptionId"].lower() == subscription
            and _time(begin) <= _time(each["eventTimestamp"]) <= _time(end)
        ]
        found.sort(key=lambda each: str(each["eventTimestamp"]), reverse=True)
        skip = int(query.get("$skipToken", 0))
        size = min(200, self.state.page)
        answer: Raw = {"value": found[skip : skip + size]}
        if self.state.never_ends or skip + size < len(found):
            where = f"{path}?api-version=2015-04-01&$filter={query['$filter']}"
            step = 0 if self.state.never_ends else size
            link = f"https://management.azure.com{where}&$skipToken={skip + step}"
            answer["nextLink"] = link.replace(" ", "%20")
        return 200, answer, {}

    def _skus(self, _: str, __: Mapping[str, str], ___: Raw) -> Any:
        return 200, {"value": self.state.skus}, {}

    def _prices(self, path: str, query: Mapping[str, str], _: Raw) -> Any:
        skip = int(query.get("$skip", 0))
        items = _filtered(self.state.prices, query.get("$filter", ""))
        page = items[skip : skip + self.state.page]
        link = None
        if self.state.never_ends or skip + self.state.page < len(items):
            step = 0 if self.state.never_ends else self.state.page
            where = f"{path}?$filter={query.get('$filter', '')}&$skip={skip + step}"
            link = f"https://prices.azure.com:443{where}".replace(" ", "%20")
        answer = {"BillingCurrency": "USD", "Items": page, "NextPageLink": link}
        return 200, answer | {"Count": len(page)}, {}

    def _get_resource(self, path: str, query: Mapping[str, str], _: Raw) -> Any:
        for each in self.state.resources:
            if each["id"].lower() == path.lower():
                return 200, self._as_arm(each, view="expand" in " ".join(query)), {}
        error = {"error": {"code": "ResourceNotFound", "message": path}}
        return 404, error, {}

    def _as_arm(self, row: Raw, *, view: bool) -> Raw:
        """The same VM as Azure Resource Manager tells it."""
        properties = {key: value for key, value in row["properties"].items() if key != "extended"}
        if view:
            power = row["properties"]["extended"]["instanceView"].get("powerState")
            changed = self.state.changed_at.get(row["name"], CREATED)
            statuses = [{"code": "ProvisioningState/succeeded", "level": "Info", "time": changed}]
            properties["instanceView"] = {"statuses": [*statuses, *([power] if power else [])]}
        told = {key: row[key] for key in ("id", "name", "type", "location", "tags")}
        return told | {"properties": properties}

    def _deallocate(self, path: str, _: Mapping[str, str], __: Raw) -> Any:
        resource = path.rsplit("/", 1)[0]
        found = [each for each in self.state.resources if each["id"].lower() == resource.lower()]
        if not found:
            return 404, {"error": {"code": "ResourceNotFound", "message": path}}, {}
        if any(
            lock["properties"]["level"] == "ReadOnly"
            for of, several in self.state.locks.items()
            for lock in several
            if resource.lower().startswith(of)
        ):
            return 409, {"error": {"code": "ScopeLocked", "message": "a lock"}}, {}
        subscription = resource.split("/")[2]
        number = str(len(self.state.operations) + 1)
        where = (
            f"https://management.azure.com/subscriptions/{subscription}/providers/"
            f"Microsoft.Compute/locations/eastus/operations/{number}?api-version=2024-07-01"
        )
        self.state.operations[number] = Operation(
            found[0], self.state.stop_takes_polls, self.state.stop_fails
        )
        _set_power(found[0], "deallocating")
        headers = {"Azure-AsyncOperation": where, "Location": where, "Retry-After": "0"}
        return 202, None, headers

    def _operation(self, path: str, _: Mapping[str, str], __: Raw) -> Any:
        operation = self.state.operations[path.rsplit("/", 1)[-1]]
        operation.polls_left -= 1
        if operation.polls_left > 0:
            return 200, {"status": "InProgress"}, {"Retry-After": "0"}
        if operation.fails is not None:
            _set_power(operation.resource, "running")
            error = {"code": operation.fails, "message": "it did not work out"}
            return 200, {"status": "Failed", "error": error}, {}
        _set_power(operation.resource, "deallocated")
        return 200, {"status": "Succeeded"}, {}

    _handlers: Mapping[str, Callable[..., Any]] = {
        "resourcegraph:ListResources": _graph,
        "subscriptions:ListSubscriptions": _subscriptions,
        "metrics:GetBatch": _batch,
        "authorization:ListLocks": _locks,
        "insights:ListEvents": _events,
        "compute:ListSkus": _skus,
        "compute:Deallocate": _deallocate,
        "compute:GetOperation": _operation,
        "prices:ListPrices": _prices,
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is none of the test's business."""


class _IdentityService(BaseHTTPRequestHandler):
    """The identity endpoint of App Service and Container Apps."""

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        known = self.headers.get("X-IDENTITY-HEADER") == SECRET
        told: Raw = {
            "access_token": f"for {query.get('resource', ['?'])[0]}",
            "expires_on": str(int(time.time()) + 86_400),
            "resource": query.get("resource", ["?"])[0],
            "token_type": "Bearer",
        }
        payload = json.dumps(told if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


def _handler(server: AzureServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            token = self.headers.get("authorization")
            public = "/retail/prices" in self.path
            server.tokens.add(str(token))
            headers: Mapping[str, str] = {}
            if public == (token is not None):
                status, told = 401, {"error": {"code": "InvalidAuthenticationToken"}}
            else:
                status, told, headers = server.answer(self.command, self.path, body)
            payload = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_POST = do_GET  # noqa: N815

    return Handler


def _name(method: str, path: str) -> str:
    lower = path.lower()
    for verb, end, name in _NAMES:
        if method == verb and lower.endswith(end):
            return name
    if "/operations/" in lower:
        return "compute:GetOperation"
    if re.search(r"/virtualmachines/[^/]+$", lower):
        return "compute:GetVirtualMachine"
    return f"azure:{method.title()}"


def _is_n(row: Raw) -> bool:
    if row["type"] not in {VM_TYPE, MEMBER_TYPE, SCALE_SET_TYPE}:
        return True
    told = (row["properties"].get("hardwareProfile") or {}).get("vmSize")
    return str(told or (row["sku"] or {}).get("name")).lower().startswith("standard_n")


def _set_power(row: Raw, power: str) -> None:
    row["properties"]["extended"]["instanceView"]["powerState"] = {"code": f"PowerState/{power}"}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def _period(text: str) -> timedelta:
    number, unit = re.fullmatch(r"P(?:T)?(\d+)([MHD])", text).groups()  # type: ignore[union-attr]
    names = {"M": "minutes", "H": "hours", "D": "days"}
    return timedelta(**{names[unit]: int(number)})


def _filtered(items: Sequence[Raw], condition: str) -> list[Raw]:
    """The equalities of an OData filter; whatever else stands in it is left to the client."""
    equal = re.findall(r"(\w+) eq '([^']*)'", condition)
    return [each for each in items if all(str(each.get(key)) == value for key, value in equal)]
