"""Clients for Azure: explicit retries and time limits, every HTTP attempt counted.

With an endpoint setting every address that Azure answers with (the next page, an operation to be
followed) is asked at that endpoint, too.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    ContentDecodePolicy,
    CustomHookPolicy,
    HeadersPolicy,
    ProxyPolicy,
    RequestIdPolicy,
    RetryPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.monitor.querymetrics import MetricsClient

from providers.azure.credentials import open_credentials
from providers.azure.errors import AZURE_ERRORS, UNAUTHORISED
from providers.errors import AnswerCut, DeadlinePassed

T = TypeVar("T")
K = TypeVar("K")

MANAGEMENT = "https://management.azure.com"
METRICS = "https://{region}.metrics.monitor.azure.com"
PRICES = "https://prices.azure.com"
MANAGEMENT_SCOPE = f"{MANAGEMENT}/.default"
METRICS_SCOPE = "https://metrics.monitor.azure.com/.default"
"""What tokens are asked for, whichever endpoint answers."""
PAGES_AT_MOST = 500
POLL_S = 3.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

USD_PER_METRICS_CALL = Decimal("0.00001")
"""Azure Monitor: 0.01 USD per 1,000 standard API calls, the first million a month being free: an
upper bound (Azure Monitor price page, 2026-10). Resource Graph and Resource Manager are free."""

_OPERATIONS = (
    ("POST", r"/providers/Microsoft\.ResourceGraph/resources$", "resourcegraph:ListResources"),
    ("POST", r"/metrics:getBatch$", "metrics:GetBatch"),
    ("POST", r"/deallocate$", "compute:Deallocate"),
    ("GET", r"/providers/Microsoft\.Compute/skus$", "compute:ListSkus"),
    ("GET", r"/providers/Microsoft\.Compute/locations/[^/]+/operations/", "compute:GetOperation"),
    ("GET", r"/providers/Microsoft\.Authorization/locks$", "authorization:ListLocks"),
    ("GET", r"/eventtypes/management/values$", "insights:ListEvents"),
    ("GET", r"/virtualMachines/[^/]+$", "compute:GetVirtualMachine"),
    ("GET", r"^/subscriptions$", "subscriptions:ListSubscriptions"),
    ("GET", r"/retail/prices$", "prices:ListPrices"),
)
"""Method and path of everything that is asked, and what it is called."""

DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""By the monotonic clock; no request of this thread leaves after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how hard Azure is asked. The defaults are for the real one."""

    attempts: int = 4
    """Tries of one call in all, the first one included."""
    connect_s: float = 5
    read_s: float = 30
    backoff_s: float = 0.8
    patience_s: float = 30
    """The longest `Retry-After` that is waited for; what should wait longer is a gap."""
    question_s: float = 90
    """What one question may take with all its pages; then it is a gap."""
    at_once: int = 8
    follow_s: float = 60
    """How long a stop is followed; what takes longer is `requested`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where Azure is asked in place of its own addresses; None: there."""

    management: str | None = None
    metrics: str | None = None
    prices: str | None = None

    def management_url(self) -> str:
        return (self.management or MANAGEMENT).rstrip("/")

    def metrics_url(self, region: str) -> str:
        return (self.metrics or self.management or METRICS.format(region=region)).rstrip("/")

    def prices_url(self) -> str:
        return (self.prices or self.management or PRICES).rstrip("/")


class Meter:
    """What was asked of Azure so far, and what that costs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    def count(self, operation: str) -> None:
        with self._lock:
            self._calls[operation] += 1

    def calls(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._calls)

    def usd(self) -> Decimal:
        return self.calls().get("metrics:GetBatch", 0) * USD_PER_METRICS_CALL


class AzureSession:
    """Credentials, clients, and the meter of what they send."""

    def __init__(
        self,
        *,
        endpoints: Endpoints | None = None,
        ca_bundle: str | None = None,
        credential: TokenCredential | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises `ProviderUnavailable` where there are no credentials."""
        self.endpoints = endpoints or Endpoints()
        self.limits = limits or Limits()
        self.meter = Meter()
        self._ca_bundle = ca_bundle
        self._credential = credential or open_credentials(ca_bundle=ca_bundle)
        self._clients: dict[tuple[str, str], Any] = {}
        self._making = threading.Lock()

    def graph(self) -> ResourceGraphClient:
        url = self.endpoints.management_url()
        return self._client(
            ("graph", ""),
            lambda: ResourceGraphClient(
                self._credential, base_url=url, **self._options(url, MANAGEMENT_SCOPE)
            ),
        )

    def compute(self, subscription: str) -> ComputeManagementClient:
        url = self.endpoints.management_url()
        return self._client(
            ("compute", subscription),
            lambda: ComputeManagementClient(
                self._credential, subscription, base_url=url, **self._options(url, MANAGEMENT_SCOPE)
            ),
        )

    def deallocating(self, subscription: str) -> ComputeManagementClient:
        """Sends each request once: a stop that may have arrived is looked at, never repeated."""
        url = self.endpoints.management_url()
        options = self._options(url, MANAGEMENT_SCOPE, attempts=1)
        return self._client(
            ("deallocating", subscription),
            lambda: ComputeManagementClient(
                self._credential, subscription, base_url=url, **options
            ),
        )

    def metrics(self, region: str) -> MetricsClient:
        url = self.endpoints.metrics_url(region)
        return self._client(
            ("metrics", region),
            lambda: MetricsClient(url, self._credential, **self._options(url, METRICS_SCOPE)),
        )

    def get(self, path: str, parameters: Mapping[str, str]) -> Any:
        """One answer of Azure Resource Manager as JSON. Raises one of `AZURE_ERRORS`."""
        return self._got(self._plain(), self.endpoints.management_url() + path, parameters)

    def pages(self, path: str, parameters: Mapping[str, str], *, most: int) -> Iterator[Any]:
        """The answers of a listing, one a page. Raises `AnswerCut` where they do not end."""
        base = self.endpoints.management_url()
        yield from self._paged(self._plain(), base, base + path, parameters, "nextLink", most)

    def price_pages(self, parameters: Mapping[str, str], *, most: int) -> Iterator[Any]:
        """The Retail Prices API, which wants no token and gets none."""
        base = self.endpoints.prices_url()
        client = self._client(
            ("prices", ""),
            lambda: PipelineClient(base, policies=self._policies(None, ()), **self._transport()),
        )
        url = f"{base}/api/retail/prices"
        yield from self._paged(client, base, url, parameters, "NextPageLink", most)

    def followed(self, url: str) -> tuple[Any, float]:
        """What an operation that was accepted says of itself now, and seconds to the next look."""
        there = at_endpoint(url, self.endpoints.management_url())
        response = self._answered(self._plain(), there, {})
        return _object(response), seconds_of(response.headers.get("Retry-After"))

    def side_by_side(self, keys: Sequence[K], ask: Callable[[K], T]) -> dict[K, T | Exception]:
        """Each key's answer, or what prevented it. One never delays or ends another."""
        at_once = min(self.limits.at_once, max(1, len(keys)))
        rounds = -(-len(keys) // at_once)
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="azure")
        futures: dict[K, Future[T]] = {key: pool.submit(self._in_time, ask, key) for key in keys}
        wait(futures.values(), timeout=self.limits.question_s * rounds)
        pool.shutdown(wait=False, cancel_futures=True)
        answers: dict[K, T | Exception] = {}
        for key, future in futures.items():
            answer = self._outcome(future)
            answers[key] = answer
        return answers

    def _in_time(self, ask: Callable[[K], T], key: K) -> T:
        DEADLINE.set(time.monotonic() + self.limits.question_s)
        return ask(key)

    def _outcome(self, future: Future[T]) -> T | Exception:
        if not future.done() or future.cancelled():
            return DeadlinePassed(f"more than {self.limits.question_s:g} s")
        try:
            return future.result()
        except AZURE_ERRORS as error:
            return error

    def _plain(self) -> Any:
        url = self.endpoints.management_url()
        return self._client(
            ("plain", ""), lambda: PipelineClient(url, **self._options(url, MANAGEMENT_SCOPE))
        )

    def _paged(
        self,
        client: Any,
        base: str,
        url: str,
        parameters: Mapping[str, str],
        link: str,
        most: int,
    ) -> Iterator[Any]:
        seen = set()
        for _ in range(most):
            page = self._got(client, url, parameters)
            yield page
            following = page.get(link)
            if not following:
                return
            url, parameters = at_endpoint(str(following), base), {}
            if url in seen:
                break
            seen.add(url)
        raise AnswerCut("its pages do not end")

    def _got(self, client: Any, url: str, parameters: Mapping[str, str]) -> Any:
        return _object(self._answered(client, url, parameters))

    def _answered(self, client: Any, url: str, parameters: Mapping[str, str]) -> Any:
        response = client.send_request(HttpRequest("GET", url, params=dict(parameters)))
        if response.status_code == UNAUTHORISED:
            raise ClientAuthenticationError(response=response)
        if response.status_code >= 400:  # noqa: PLR2004 - errors begin there
            raise HttpResponseError(response=response)
        return response

    def _client(self, key: tuple[str, str], make: Callable[[], T]) -> T:
        """A client that several threads may share; made once."""
        with self._making:
            if key not in self._clients:
                self._clients[key] = make()
            client: T = self._clients[key]
            return client

    def _options(self, url: str, scope: str, *, attempts: int | None = None) -> dict[str, Any]:
        return {
            "policies": self._policies(url, (scope,), attempts=attempts),
            "credential_scopes": [scope],
            **self._transport(),
        }

    def _transport(self) -> dict[str, Any]:
        verify = {"connection_verify": self._ca_bundle} if self._ca_bundle else {}
        return {
            "connection_timeout": self.limits.connect_s,
            "read_timeout": self.limits.read_s,
            **verify,
        }

    def _policies(
        self, url: str | None, scopes: Sequence[str], *, attempts: int | None = None
    ) -> list[Any]:
        """The SDK's own list would also register resource providers: watching changes nothing."""
        tries = attempts or self.limits.attempts
        found: list[Any] = [
            RequestIdPolicy(),
            HeadersPolicy(),
            UserAgentPolicy(base_user_agent="cloud-spend-watchdog"),
            ProxyPolicy(),
            ContentDecodePolicy(),
            CustomHookPolicy(),
            _Retry(tries, self.limits),
        ]
        if url is not None:
            parts = urlsplit(url)
            plain = parts.scheme == "http" and parts.hostname in LOOPBACK
            kind = _PlainBearer if plain else BearerTokenCredentialPolicy
            found.append(kind(self._credential, *scopes))
        found.append(_Counting(self.meter, self.limits))
        return found


class _Retry(RetryPolicy[Any, Any]):
    """Bounded, also in what a server may ask for; questions are sent by POST here as well."""

    def __init__(self, tries: int, limits: Limits) -> None:
        super().__init__(
            retry_total=tries - 1,
            retry_connect=tries - 1,
            retry_read=tries - 1,
            retry_status=tries - 1,
            retry_backoff_factor=limits.backoff_s,
            retry_backoff_max=limits.patience_s,
        )
        self._patience_s = limits.patience_s
        self._method_whitelist = frozenset({"GET", "POST"})

    def is_retry(
        self,
        settings: dict[str, Any],  # noqa: ARG002 - the SDK names it
        response: PipelineResponse[Any, Any],
    ) -> bool:
        """Never where the server wants a long wait."""
        status = response.http_response.status_code
        return (
            status in self._RETRY_CODES
            and (self.get_retry_after(response) or 0) <= self._patience_s
        )


class _PlainBearer(BearerTokenCredentialPolicy[Any, Any]):
    """For a server on loopback without TLS, which the SDK refuses a token."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.context.options["enforce_https"] = False
        super().on_request(request)


class _Counting(SansIOHTTPPolicy[Any, Any]):
    """The last before the network: called for each HTTP attempt."""

    def __init__(self, meter: Meter, limits: Limits) -> None:
        super().__init__()
        self._meter = meter
        self._limits = limits

    def on_request(self, request: PipelineRequest[Any]) -> None:
        if time.monotonic() > DEADLINE.get():
            raise DeadlinePassed(f"more than {self._limits.question_s:g} s")
        http = request.http_request
        request.context.options.pop("enforce_https", None)
        self._meter.count(operation_of(http.method, urlsplit(http.url).path))


def seconds_of(retry_after: str | None) -> float:
    """What `Retry-After` tells; where it tells nothing, what the SDK takes for a short while."""
    try:
        return max(0.0, float(retry_after or POLL_S))
    except ValueError:
        return POLL_S


def _object(response: Any) -> Any:
    told = response.json() if response.content else {}
    if not isinstance(told, dict):
        raise TypeError("the answer is no object")
    return told


def operation_of(method: str, path: str) -> str:
    """`service:Operation` of a request."""
    for verb, pattern, name in _OPERATIONS:
        if method == verb and re.search(pattern, path, re.IGNORECASE):
            return name
    return f"azure:{method.title()}"


def at_endpoint(url: str, base: str) -> str:
    """The same path and query at the endpoint that is asked."""
    there, parts = urlsplit(base), urlsplit(url)
    return urlunsplit((there.scheme, there.netloc, parts.path, parts.query, ""))
