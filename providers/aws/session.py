"""Clients for AWS: explicit retries and time limits, every HTTP attempt counted, UTC throughout."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from providers.aws import metric_answers
from providers.aws.errors import AWS_ERRORS
from providers.aws.times import moment
from providers.base import ProviderUnavailable
from providers.errors import DeadlinePassed

T = TypeVar("T")

HOME_REGION = "us-east-1"
"""Asked for the list of regions where neither settings nor profile name one."""

USD_PER_METRIC = Decimal("0.00001")
"""GetMetricData costs 0.01 USD per 1,000 metrics requested. Whether several statistics of one
metric count once is not told, so each counts: an upper bound. CloudWatch price list, 2026-10."""
USD_PER_LISTING = Decimal("0.00001")
"""ListMetrics costs 0.01 USD per 1,000 requests (CloudWatch price list, 2026-10)."""

USD_PER_S3_LISTING = Decimal("0.000005")
"""Listing buckets or uploads costs 0.005 USD per 1,000 requests (S3 price list, 2026-10)."""
IAM_PREFIX = {"resource-groups-tagging-api": "tag"}
"""Services that permissions call by another name than the SDK does."""

ROLE_SESSION = "spend-watchdog"
"""How the audit trail names what was done under another role."""
NO_ENDPOINTS: Mapping[str, str] = MappingProxyType({})
DEADLINE: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""By the monotonic clock; no request of this thread leaves after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how hard AWS is asked. The defaults are for the real one."""

    attempts: int = 4
    """Tries of one call in all, the first one included."""
    connect_s: float = 5
    read_s: float = 20
    scope_s: float = 90
    """What one region may take for one question; then it is a gap."""
    scopes_at_once: int = 16
    calls_at_once: int = 6
    """Metric reads side by side within one region."""


class Meter:
    """What was asked of AWS so far, and what that costs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._metrics = 0

    def count_call(self, operation: str) -> None:
        with self._lock:
            self._calls[operation] += 1

    def count_metrics(self, requested: int) -> None:
        with self._lock:
            self._metrics += requested

    def calls(self) -> Mapping[str, int]:
        with self._lock:
            return dict(self._calls)

    def usd(self) -> Decimal:
        """At list price; calls to EC2, STS, CloudTrail and the tagging API are free."""
        calls = self.calls()
        listings = calls.get("cloudwatch:ListMetrics", 0)
        of_s3 = sum(count for name, count in calls.items() if name.startswith("s3:"))
        usd = self._metrics * USD_PER_METRIC + listings * USD_PER_LISTING
        return usd + of_s3 * USD_PER_S3_LISTING if of_s3 else usd


class AwsSession:
    """Credentials, clients by service and region, and the meter of what they send."""

    def __init__(
        self,
        session: boto3.Session | None = None,
        limits: Limits | None = None,
        *,
        endpoints: Mapping[str, str] = NO_ENDPOINTS,
    ) -> None:
        """Raises `ProviderUnavailable` where there are no credentials.

        `endpoints`: by service, where it is asked in place of where the SDK would.
        """
        self.limits = limits or Limits()
        self.meter = Meter()
        self._session = session or open_session()
        self._endpoints = endpoints
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._making = threading.Lock()
        _require_credentials(self._session)
        self.home: str = self._session.region_name or HOME_REGION

    def client(self, service: str, region: str, *, attempts: int | None = None) -> Any:
        """A client that several threads may share; made once."""
        key = (service, region, attempts or self.limits.attempts)
        with self._making:
            if key not in self._clients:
                self._clients[key] = self._made(*key)
            return self._clients[key]

    def _made(self, service: str, region: str, attempts: int) -> Any:
        retries: Any = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(
            retries=retries,
            connect_timeout=self.limits.connect_s,
            read_timeout=self.limits.read_s,
            max_pool_connections=self.limits.calls_at_once + 2,
            # A bucket's name is no part of a host's name: that works with every endpoint.
            s3={"addressing_style": "path"},
            # A quarter of the time of asking for 500 metrics; what they look like never varies.
            parameter_validation=service != "cloudwatch",
        )
        client: Any = self._session.client(  # type: ignore[call-overload]
            service,
            region_name=region,
            endpoint_url=self._endpoints.get(service),
            config=config,
        )
        client.meta.events.register("before-send.*.*", self._before_send)
        client.meta.events.register(metric_answers.EVENT, metric_answers.take)
        return client

    def _before_send(self, event_name: str, **_: object) -> None:
        """Called by botocore for each HTTP attempt: `before-send.ec2.DescribeInstances`."""
        if time.monotonic() > DEADLINE.get():
            raise DeadlinePassed(f"more than {self.limits.scope_s:g} s")
        service, operation = event_name.split(".")[1:]
        service = IAM_PREFIX.get(service, service)
        self.meter.count_call(f"{service}:{operation}")

    def assuming(self, role: str) -> AwsSession:
        """The same with a role's rights, for an hour: a patrol is over sooner.

        Raises what STS answers where the role may not be taken.
        """
        sts = self.client("sts", self.home, attempts=1)
        told = sts.assume_role(RoleArn=role, RoleSessionName=ROLE_SESSION)["Credentials"]
        core = _utc_core()
        core.set_credentials(told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
        core.set_config_variable("region", self.home)
        assumed = AwsSession(
            boto3.Session(botocore_session=core), self.limits, endpoints=self._endpoints
        )
        assumed.meter = self.meter
        return assumed

    def offers(self, service: str, region: str) -> bool:
        """Whether the SDK knows an endpoint of this service there; a new region it may not know."""
        try:
            partition = self._session.get_partition_for_region(region)
        except BotoCoreError:
            return False
        return region in self._session.get_available_regions(service, partition_name=partition)

    def side_by_side(
        self, regions: Sequence[str], ask: Callable[[str], T]
    ) -> dict[str, T | Exception]:
        """Each region's answer, or what prevented it. One region never delays or ends another."""
        at_once = min(self.limits.scopes_at_once, max(1, len(regions)))
        rounds = -(-len(regions) // at_once)
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="aws-region")
        futures: dict[str, Future[T]] = {
            region: pool.submit(self._in_time, ask, region) for region in regions
        }
        wait(futures.values(), timeout=self.limits.scope_s * rounds)
        pool.shutdown(wait=False, cancel_futures=True)
        answers: dict[str, T | Exception] = {}
        for region, future in futures.items():
            answer = self._outcome(future)
            answers[region] = answer
        return answers

    def _in_time(self, ask: Callable[[str], T], region: str) -> T:
        DEADLINE.set(time.monotonic() + self.limits.scope_s)
        return ask(region)

    def _outcome(self, future: Future[T]) -> T | Exception:
        if not future.done() or future.cancelled():
            return DeadlinePassed(f"more than {self.limits.scope_s:g} s")
        try:
            return future.result()
        except AWS_ERRORS as error:
            return error

    def within_region(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Jobs of one region side by side, under the deadline of the thread that asks."""
        with ThreadPoolExecutor(
            self.limits.calls_at_once, initializer=DEADLINE.set, initargs=(DEADLINE.get(),)
        ) as pool:
            return list(pool.map(lambda job: job(), jobs))


def open_session() -> boto3.Session:
    """A session of the environment's own profile that reads times as UTC."""
    try:
        return boto3.Session(botocore_session=_utc_core())
    except BotoCoreError as error:
        raise ProviderUnavailable(f"the AWS profile cannot be used: {error}") from error


def _utc_core() -> botocore.session.Session:
    core = botocore.session.get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
    return core


def _require_credentials(session: boto3.Session) -> None:
    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        raise ProviderUnavailable(f"the AWS credentials cannot be used: {error}") from error
    if found is None:
        raise ProviderUnavailable(
            "no AWS credentials were found: set AWS_PROFILE, run `aws sso login`, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
