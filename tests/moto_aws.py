"""A real AWS API on loopback (moto), behind a thin layer that counts, faults and slows its answers.

    with AwsServer() as aws:
        aws.fail("ec2:DescribeInstances", region="us-west-2", status=503, times=2)
        launch(aws.client("ec2", "us-west-2"), "g5.xlarge")
        monkeypatch.setenv(...)  # each of aws.environment
        AwsProvider().machines()
        assert aws.calls["ec2:DescribeInstances"] == 3

Operations are named as in IAM: `ec2:DescribeInstances`, `cloudwatch:GetMetricData`. Clients that
nobody configured find the server through `environment`; what they ask is counted and meets the
faults. The clients of `client()` set the stage: they are neither counted nor faulted. A server that
was started once is emptied by `reset()`, its machines included.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from typing import Any, Self
from urllib.parse import parse_qs

import boto3
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Reservation
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

ACCOUNT = "123456789012"
"""moto's own default account."""
LINUX = "ami-760aaa0f"
"""A Linux image that moto knows; the often quoted ami-12c6146b makes Windows machines."""
STAGE = "stage"
"""The access key of the clients that set the stage."""

_IAM_PREFIX = {"monitoring": "cloudwatch", "s3express": "s3", "tagging": "tag"}
_SCOPE = re.compile(
    r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)

Start = Callable[[str, list[tuple[str, str]]], Any]
Edit = Callable[[bytes], bytes]
StandIn = Callable[["Call"], tuple[int, str]]
"""Answers a call with a status and a JSON body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request as it reached the server."""

    operation: str
    region: str
    key: str
    """The caller's access key."""
    body: bytes

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters: a JSON object, or the last value of each form field."""
        if self.body.startswith(b"{"):
            parsed: dict[str, Any] = json.loads(self.body)
            return parsed
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(slots=True, kw_only=True)
class _Rule:
    """What happens to calls of one operation (None: all) in one region (None: all)."""

    operation: str | None
    region: str | None
    left: int | None = None
    """How many more calls it meets; None: all."""
    respond: Callable[[Call], tuple[int, str]] | None = None
    """Status and body."""
    edit: Edit | None = None
    delay_s: float = 0.0

    def meets(self, call: Call) -> bool:
        return (
            self.operation in {None, call.operation}
            and self.region in {None, call.region}
            and self.left != 0
        )


@dataclass(slots=True)
class AwsServer:
    """moto over HTTP on a free port of the loopback interface."""

    calls: Counter[str] = field(default_factory=Counter)
    """Requests by `service:Operation`, retries included; those of the stage are left out."""
    requests: list[Call] = field(default_factory=list)
    url: str = ""
    _rules: list[_Rule] = field(default_factory=list)
    _stand_ins: dict[str, StandIn] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: BaseWSGIServer | None = None
    _thread: threading.Thread | None = None
    _moto: Any = None
    _stage: boto3.Session = field(
        default_factory=lambda: boto3.Session(
            aws_access_key_id=STAGE, aws_secret_access_key="testing"
        )
    )
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self, threaded=True, request_handler=MotoRequestHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point any AWS SDK here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "watchdog",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A client for setting the stage; made once."""
        if (service, region) not in self._clients:
            made = self._stage.client(service, region_name=region, endpoint_url=self.url)  # type: ignore[call-overload]
            self._clients[service, region] = made
        return self._clients[service, region]

    def fail(
        self,
        operation: str | None,
        region: str | None = None,
        *,
        status: int = 500,
        code: str | None = None,
        body: str | None = None,
        times: int | None = None,
    ) -> None:
        """Refuse calls. `code` makes an error in the service's own form; without it, HTML."""

        def refusal(call: Call) -> tuple[int, str]:
            if body is not None:
                return status, body
            return status, _error(call.operation, code) if code else _html(status)

        self._rules.append(_Rule(operation=operation, region=region, left=times, respond=refusal))

    def answer(
        self,
        operation: str | None,
        body: str,
        *,
        region: str | None = None,
        status: int = 200,
        times: int | None = None,
    ) -> None:
        """Answer in moto's place."""
        self.fail(operation, region, status=status, body=body, times=times)

    def stand_in(self, service: str, answer: StandIn) -> None:
        """Let something else answer all calls of a service, until `reset`; faults come first."""
        self._stand_ins[service] = answer

    def edit(
        self,
        operation: str,
        edit: Edit,
        *,
        region: str | None = None,
        times: int | None = None,
    ) -> None:
        """Change the body of moto's own answers."""
        self._rules.append(_Rule(operation=operation, region=region, left=times, edit=edit))

    def delay(
        self, seconds: float, operation: str | None = None, region: str | None = None
    ) -> None:
        """Let calls wait before they are answered: latency, or an endpoint that hangs."""
        self._rules.append(_Rule(operation=operation, region=region, delay_s=seconds))

    def mend(self) -> None:
        """Faults, edits and delays end; what was counted stays."""
        self._rules.clear()

    def forget_calls(self) -> None:
        self.calls.clear()
        self.requests.clear()

    def reset(self) -> None:
        """As new: no faults, no counts, no machines."""
        self.mend()
        self._stand_ins.clear()
        reset = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        with urllib.request.urlopen(reset, timeout=30) as answer:
            answer.read()
        self.forget_calls()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/moto-api"):
            return self._moto(environ, start)  # type: ignore[no-any-return]
        call = _call(environ)
        if call.key == STAGE:
            return self._moto(environ, start)  # type: ignore[no-any-return]
        with self._lock:
            self.calls[call.operation] += 1
            self.requests.append(call)
            rules = self._met(call)
        time.sleep(sum(rule.delay_s for rule in rules))
        for rule in rules:
            if rule.respond is not None:
                status, told = rule.respond(call)
                content = "application/json" if told.startswith("{") else "text/xml"
                return _respond(start, status, content, told.encode())
        stand_in = self._stand_ins.get(call.operation.partition(":")[0])
        if stand_in is not None:
            return _respond(start, *_as_json(stand_in(call)))
        edits = [rule.edit for rule in rules if rule.edit is not None]
        if not edits:
            return self._moto(environ, start)  # type: ignore[no-any-return]
        return self._edited(environ, start, edits)

    def _met(self, call: Call) -> list[_Rule]:
        met = [rule for rule in self._rules if rule.meets(call)]
        for rule in met:
            if rule.left is not None:
                rule.left -= 1
        return met

    def _edited(
        self, environ: dict[str, Any], start: Start, edits: Sequence[Edit]
    ) -> Iterable[bytes]:
        told: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self._moto(environ, lambda status, headers, *_: told.append((status, headers)))
        body = b"".join(parts)
        for edit in edits:
            body = edit(body)
        status, headers = told[0]
        content = next(value for name, value in headers if name.lower() == "content-type")
        return _respond(start, int(status.split()[0]), content, body)


def _call(environ: dict[str, Any]) -> Call:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = scope["service"] if scope else "unsigned"
    prefix = _IAM_PREFIX.get(service, service)
    return Call(
        operation=f"{prefix}:{_operation(environ, body)}",
        region=scope["region"] if scope else "",
        key=scope["key"] if scope else "",
        body=body,
    )


def _operation(environ: dict[str, Any], body: bytes) -> str:
    """By target header (JSON), form field (query), path (savings plans), else the HTTP method."""
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rsplit(".", 1)[-1]
    action = re.search(rb"(?:^|&)Action=(\w+)", body)
    if action:
        return action[1].decode()
    if environ["PATH_INFO"] == "/DescribeSavingsPlans":
        return "DescribeSavingsPlans"
    method, query = str(environ["REQUEST_METHOD"]), str(environ.get("QUERY_STRING", ""))
    if method != "GET" or "Credential=" not in environ.get("HTTP_AUTHORIZATION", ""):
        return method
    return _s3_listing(str(environ["PATH_INFO"]), query, environ["HTTP_AUTHORIZATION"]) or method


def _s3_listing(path: str, query: str, authorization: str) -> str | None:
    """The listings of S3 that have names of their own here; None: the HTTP method will do."""
    if path == "/":
        return "ListDirectoryBuckets" if "/s3express/" in authorization else "ListBuckets"
    for word, name in (("uploads", "ListMultipartUploads"), ("location", "GetBucketLocation")):
        if re.match(rf"{word}(?:[=&]|$)", query):
            return name
    return None


def _respond(start: Start, status: int, content: str, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", content), ("Content-Length", str(len(body)))]
    start(f"{status} {HTTPStatus(status).phrase}", headers)
    return [body]


def _error(operation: str, code: str) -> str:
    """An error as the service itself would put it."""
    service = operation.partition(":")[0]
    message = f"{code}: refused by the test"
    if service == "ec2":
        errors = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        return f"<Response>{errors}<RequestID>test</RequestID></Response>"
    if service == "s3":
        return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    if service == "sts":
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return f"<ErrorResponse>{error}<RequestId>test</RequestId></ErrorResponse>"
    return json.dumps({"__type": code, "message": message})


def _as_json(answer: tuple[int, str]) -> tuple[int, str, bytes]:
    status, body = answer
    return status, "application/x-amz-json-1.1", body.encode()


def _html(status: int) -> str:
    phrase = HTTPStatus(status).phrase
    return f"<!DOCTYPE html><html><title>{status} {phrase}</title><h1>{phrase}</h1></html>"


def launch(
    ec2: Any,
    machine_type: str,
    count: int = 1,
    *,
    tags: Mapping[str, str] | None = None,
    **options: Any,
) -> list[str]:
    """Machines of one type, in one reservation; their ids."""
    if tags:
        told = [{"Key": key, "Value": value} for key, value in tags.items()]
        options["TagSpecifications"] = [{"ResourceType": "instance", "Tags": told}]
    started = ec2.run_instances(
        ImageId=LINUX, InstanceType=machine_type, MinCount=count, MaxCount=count, **options
    )
    return [instance["InstanceId"] for instance in started["Instances"]]


def apart(region: str = "us-east-1") -> None:
    """Each machine in a reservation of its own: moto's pages count reservations."""
    backend = ec2_backends[ACCOUNT][region]
    for reservation in list(backend.reservations.values()):
        for instance in reservation.instances[1:]:
            single = Reservation(f"r-{instance.id.removeprefix('i-')}", reservation.owner_id)
            single.instances.append(instance)
            backend.reservations[single.id] = single
        del reservation.instances[1:]


def tag(machine: str, tags: Mapping[str, str], region: str = "us-east-1") -> None:
    """Tags that AWS reserves for itself (`aws:…`): set from inside, for no caller may."""
    ec2_backends[ACCOUNT][region].create_tags([machine], dict(tags))


def put_bucket_size(
    cloudwatch: Any, bucket: str, sizes: Mapping[str, float], *, day: datetime
) -> None:
    """One day's size of a bucket: bytes by storage class."""
    data = [
        {
            "MetricName": "BucketSizeBytes",
            "Dimensions": [
                {"Name": "BucketName", "Value": bucket},
                {"Name": "StorageType", "Value": name},
            ],
            "Timestamp": day,
            "Value": float(size),
        }
        for name, size in sizes.items()
    ]
    cloudwatch.put_metric_data(Namespace="AWS/S3", MetricData=data)


def put_metric(
    cloudwatch: Any,
    name: str,
    values: Sequence[float | None],
    *,
    dimensions: Mapping[str, str],
    started_at: datetime,
    namespace: str = "CWAgent",
    period_s: int = 300,
) -> None:
    """A series, one point at the start of each period; None leaves one out."""
    told = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    data = [
        {
            "MetricName": name,
            "Dimensions": told,
            "Timestamp": started_at + timedelta(seconds=period_s * index),
            "Value": value,
        }
        for index, value in enumerate(values)
        if value is not None
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)
