"""What was asked of GCP: each HTTP attempt and each gRPC call, by its name, and what it costs."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from decimal import Decimal
from math import inf
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from providers.errors import DeadlinePassed

USD_PER_SERIES = Decimal("0.0000005")
"""0.50 USD per million time series returned, since October 2025 (Cloud Monitoring price list). The
first million of a billing account's month is free, which is not counted: an upper bound."""
USD_PER_BUCKET_LISTING = Decimal("0.000005")
"""0.05 USD per 10,000 class A operations (Cloud Storage price list, 2026-10)."""

DEADLINE: ContextVar[float] = ContextVar("gcp_deadline", default=inf)
"""By the monotonic clock; no request of this thread leaves after it."""

PARTLY = "returnPartialSuccess"
_NAMES = (
    (r"GET .*/aggregated/(\w+)", "compute:AggregatedList{0}"),
    (r"GET .*/global/(snapshots|operations)", "compute:List{0}"),
    (r"GET .*/zones/[^/]+/instances/[^/]+", "compute:GetInstance"),
    (r"POST .*/zones/[^/]+/instances/[^/]+/stop", "compute:StopInstance"),
    (r"POST .*/zones/[^/]+/instances/[^/]+/setLabels", "compute:SetLabels"),
    (r"GET .*/zones/[^/]+/operations/[^/]+", "compute:GetOperation"),
    (r"GET /v2/projects/[^/]+/locations/-/nodes", "tpu:ListNodes"),
    (r"POST /v2/entries:list", "logging:ListEntries"),
    (r"GET /v3/projects:search", "cloudresourcemanager:SearchProjects"),
    (r"POST /v[13]/projects/[^/]+:testIamPermissions", "cloudresourcemanager:TestIamPermissions"),
    (r"GET (?:/storage/v1)?/b", "storage:ListBuckets"),
    (r"GET /v1/services/[^/]+/skus", "cloudbilling:ListSkus"),
)


def name_of(method: str, path: str) -> str:
    """`GET /compute/v1/projects/p/aggregated/disks` is `compute:AggregatedListDisks`."""
    asked = f"{method} {path}"
    for pattern, name in _NAMES:
        match = re.fullmatch(pattern, asked)
        if match is not None:
            return name.format(*(part[:1].upper() + part[1:] for part in match.groups()))
    return f"other:{asked}"


class Meter:
    """What was asked so far, and what that costs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._series = 0

    def count_call(self, name: str) -> None:
        with self._lock:
            self._calls[name] += 1

    def count_series(self, returned: int) -> None:
        with self._lock:
            self._series += returned

    def calls(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._calls)

    def usd(self) -> Decimal:
        """At list price; calls to Compute, Logging, TPU and the price catalogue are free."""
        listings = self.calls().get("storage:ListBuckets", 0)
        return self._series * USD_PER_SERIES + listings * USD_PER_BUCKET_LISTING


class MeteredAdapter(HTTPAdapter):
    """Counts every HTTP attempt, and lets none leave after the scope's deadline."""

    def __init__(self, meter: Meter, connections: int) -> None:
        self._meter = meter
        super().__init__(pool_connections=connections, pool_maxsize=connections)

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        refuse_when_late()
        path = urlsplit(request.url or "").path
        self._meter.count_call(name_of(request.method or "", path))
        if "/aggregated/" in path and PARTLY not in (request.url or ""):
            # Without it one bad zone fails all. The API has it, the SDK of today (1.57) does not.
            request.prepare_url(request.url or "", {PARTLY: "true"})
        return super().send(request, *args, **kwargs)


def refuse_when_late() -> None:
    if time.monotonic() > DEADLINE.get():
        raise DeadlinePassed("it was not asked in time")


def metered_channel(channel: Any, meter: Meter) -> Any:
    """The gRPC channel, counting each call: `monitoring:ListTimeSeries`."""
    import grpc  # noqa: PLC0415 - the metadata of a patrol without metrics needs none

    class Counting(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
        def intercept_unary_unary(
            self, continuation: Callable[[Any, Any], Any], details: Any, request: Any
        ) -> Any:
            refuse_when_late()
            meter.count_call(f"monitoring:{details.method.rsplit('/', 1)[-1]}")
            return continuation(details, request)

    return grpc.intercept_channel(channel, Counting())
