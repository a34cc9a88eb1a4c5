"""Clients for GCP: credentials, explicit retries and time limits, every HTTP attempt counted."""

from __future__ import annotations

import http.client
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import google.auth
from google.api_core.exceptions import from_http_response
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from policies.facts import Gap, Scope
from providers.base import ProviderUnavailable
from providers.errors import AnswerCut, DeadlinePassed
from providers.gcp.errors import GCP_ERRORS, gap_from, is_disabled, is_missing, is_passing
from providers.gcp.metering import DEADLINE, Meter, MeteredAdapter, metered_channel
from providers.identity import cloud_of

T = TypeVar("T")

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
PAGES_AT_MOST = 200
"""Of one listing in one project, 500 a page: what goes on after them never ends."""
SERVERLESS = ("K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_ENV")
"""Set where Google runs a container that has a metadata service, but no firmware to tell of it."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OK = 200
_METADATA_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how hard GCP is asked. The defaults are for the real one."""

    connect_s: float = 5
    read_s: float = 30
    retry_s: float = 20
    """How long one call is tried again."""
    first_wait_s: float = 0.5
    scope_s: float = 90
    """What one project may take for one question; then it is a gap."""
    projects_at_once: int = 16
    calls_at_once: int = 6
    """Calls side by side within one project."""
    operation_s: float = 40
    """How long a stop is followed before it is only `requested`."""
    operation_wait_s: float = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Credentials, and the project that they belong to where they tell one."""

    credentials: Any
    project: str | None


class GcpSession:
    """Credentials, clients, and the meter of what they send."""

    def __init__(
        self,
        *,
        projects: Sequence[str] | None = None,
        endpoint: str | None = None,
        monitoring_endpoint: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises `ProviderUnavailable` where there are no credentials.

        `endpoint`: where every REST service is asked in place of Google's own addresses; then
        `monitoring_endpoint` must be given as well for metrics to be read.
        """
        self.limits = limits or Limits()
        self.meter = Meter()
        self.endpoint = None if endpoint is None else endpoint.rstrip("/")
        self.monitoring_endpoint = monitoring_endpoint
        found = find_credentials(os.environ, endpoint=endpoint)
        self._credentials, self.own_project = found.credentials, found.project
        self._named = None if projects is None else tuple(dict.fromkeys(projects))
        self._making = threading.RLock()
        self._clients: dict[str, Any] = {}
        self._rest: Any = None
        self._adapter = MeteredAdapter(self.meter, self.limits.projects_at_once + 8)

    @property
    def named(self) -> bool:
        """Whether somebody said which projects are to be watched."""
        return self._named is not None

    def projects(self) -> tuple[list[str], list[Gap]]:
        """Those of the settings; else every active one that the credentials show."""
        if self._named is not None:
            return list(self._named), []
        try:
            return self._searched(), []
        except GCP_ERRORS as error:
            own = self.own_project
            if own is not None and (is_missing(error) or is_disabled(error)):
                return [own], []
            scope = Scope(provider="gcp", account=None, region=None)
            gap = gap_from(error, scope, "projects", "resourcemanager.projects.get")
            if own is None:
                return [], [_named_none(gap)]
            return [own], [_only(gap, own)]

    def _searched(self) -> list[str]:
        """Without the invisible projects of Apps Script, which hold no machines."""
        found: list[str] = []
        for page in self.pages("cloudresourcemanager", "/v3/projects:search"):
            found += [
                each["projectId"]
                for each in page.get("projects", ())
                if each.get("state", "ACTIVE") == "ACTIVE"
                and not each["projectId"].startswith("sys-")
            ]
        if not found and self.own_project is not None:
            found = [self.own_project]
        return sorted(dict.fromkeys(found))

    @property
    def retry(self) -> Retry:
        return Retry(
            predicate=is_passing,
            initial=self.limits.first_wait_s,
            maximum=8,
            multiplier=2,
            timeout=self.limits.retry_s,
        )

    @property
    def once(self) -> Retry:
        """For what must not be sent twice."""
        return Retry(predicate=lambda _: False, timeout=self.limits.read_s)

    @property
    def timeout(self) -> float:
        return self.limits.read_s

    @property
    def rest(self) -> Any:
        """The HTTP session of services without a generated client; threads may share it."""
        with self._making:
            if self._rest is None:
                self._rest = AuthorizedSession(self._credentials)
                self._metered(self._rest)
            return self._rest

    def _metered(self, session: Any) -> None:
        """From now on it counts what it sends, over connections that all sessions share."""
        session.mount("https://", self._adapter)
        session.mount("http://", self._adapter)

    def compute(self, client: str) -> Any:
        """A client of Compute Engine by its class's name: `InstancesClient`."""
        with self._making:
            if client not in self._clients:
                # Two seconds of imports, which a project without credentials need not wait for.
                from google.cloud import compute_v1  # noqa: PLC0415

                options = {"api_endpoint": self.endpoint} if self.endpoint else {}
                made = getattr(compute_v1, client)(
                    credentials=self._credentials, client_options=options
                )
                # The generated clients make their HTTP session themselves, and show it nowhere.
                self._metered(made.transport._session)  # noqa: SLF001
                self._clients[client] = made
            return self._clients[client]

    def catalogue(self) -> Any:
        """The client of the price catalogue."""
        with self._making:
            if "catalogue" not in self._clients:
                from google.cloud import billing_v1  # noqa: PLC0415 - asked by few commands only

                options = {"api_endpoint": self.endpoint} if self.endpoint else {}
                made: Any = billing_v1.CloudCatalogClient(
                    credentials=self._credentials, transport="rest", client_options=options
                )
                transport: Any = made.transport
                self._metered(transport._session)  # noqa: SLF001 - as in `compute`
                self._clients["catalogue"] = made
            return self._clients["catalogue"]

    def buckets(self, project: str) -> Any:
        """The client of Cloud Storage for one project."""
        from google.cloud.storage import Client  # noqa: PLC0415 - where storage is looked at only

        options = {"api_endpoint": self.endpoint} if self.endpoint else {}
        return Client(
            project=project,
            credentials=self._credentials,
            _http=self.rest,
            client_options=options,
        )

    def metrics(self) -> Any:
        """The client of Cloud Monitoring, which speaks gRPC. Raises where it has no address."""
        with self._making:
            if "metrics" not in self._clients:
                self._clients["metrics"] = self._metric_client()
            return self._clients["metrics"]

    def _metric_client(self) -> Any:
        import grpc  # noqa: PLC0415 - as the others
        from google.cloud.monitoring_v3 import MetricServiceClient  # noqa: PLC0415
        from google.cloud.monitoring_v3.services.metric_service import (  # noqa: PLC0415
            transports,
        )

        transport = transports.MetricServiceGrpcTransport
        options = [("grpc.max_receive_message_length", -1)]
        address = self.monitoring_endpoint
        if address is None and self.endpoint is not None:
            raise AnswerCut("gcp.endpoint is set and gcp.monitoring_endpoint is not")
        if address is None:
            channel = transport.create_channel(
                "monitoring.googleapis.com:443",
                credentials=self._credentials,
                scopes=SCOPES,
                options=options,
            )
        elif _host_of(address) in LOOPBACK:
            direct = [*options, ("grpc.enable_http_proxy", 0)]
            channel = grpc.insecure_channel(address, options=direct)
        elif isinstance(self._credentials, AnonymousCredentials):
            channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), options=options)
        else:
            channel = transport.create_channel(
                address, credentials=self._credentials, scopes=SCOPES, options=options
            )
        return MetricServiceClient(
            transport=transport(channel=metered_channel(channel, self.meter))
        )

    def pages(
        self, service: str, path: str, *, limit: int = PAGES_AT_MOST, **query: Any
    ) -> list[Mapping[str, Any]]:
        """All pages of a listing that no SDK of ours has. Raises one of `GCP_ERRORS`."""
        found: list[Mapping[str, Any]] = []
        token: str | None = None
        for _ in range(limit):
            asked = {**query, "pageToken": token} if token else dict(query)
            page = self.get(service, path, **asked)
            found.append(page)
            before, token = token, page.get("nextPageToken")
            if not token:
                return found
            if token == before:
                break
        raise AnswerCut("its pages do not end")

    def get(self, service: str, path: str, **query: Any) -> Mapping[str, Any]:
        return self._asked("GET", service, path, params=query)

    def post(self, service: str, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of calls that only read."""
        return self._asked("POST", service, path, json=body)

    def _asked(self, method: str, service: str, path: str, **more: Any) -> Mapping[str, Any]:
        base = self.endpoint or f"https://{service}.googleapis.com"
        limits = (self.limits.connect_s, self.limits.read_s)

        def ask() -> Mapping[str, Any]:
            answer = self.rest.request(method, base + path, timeout=limits, **more)
            if answer.status_code != _OK:
                raise from_http_response(answer)
            told = answer.json()
            if not isinstance(told, dict):
                raise AnswerCut("it is no JSON object")
            return told

        return self.retry(ask)()

    def side_by_side(
        self, projects: Sequence[str], ask: Callable[[str], T]
    ) -> dict[str, T | Exception]:
        """Each project's answer, or what prevented it. One never delays or ends another."""
        at_once = min(self.limits.projects_at_once, max(1, len(projects)))
        rounds = -(-len(projects) // at_once)
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="gcp-project")
        futures: dict[str, Future[T]] = {
            project: pool.submit(self._in_time, ask, project) for project in projects
        }
        wait(futures.values(), timeout=self.limits.scope_s * rounds)
        pool.shutdown(wait=False, cancel_futures=True)
        answers: dict[str, T | Exception] = {}
        for project, future in futures.items():
            answer = self._outcome(future)
            answers[project] = answer
        return answers

    def _in_time(self, ask: Callable[[str], T], project: str) -> T:
        DEADLINE.set(time.monotonic() + self.limits.scope_s)
        return ask(project)

    def _outcome(self, future: Future[T]) -> T | Exception:
        if not future.done() or future.cancelled():
            return DeadlinePassed(f"more than {self.limits.scope_s:g} s")
        try:
            return future.result()
        except GCP_ERRORS as error:
            return error

    def within_project(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Jobs of one project side by side, under the deadline of the thread that asks."""
        with ThreadPoolExecutor(
            self.limits.calls_at_once, initializer=DEADLINE.set, initargs=(DEADLINE.get(),)
        ) as pool:
            return list(pool.map(lambda job: job(), jobs))


def find_credentials(environ: Mapping[str, str], *, endpoint: str | None) -> Found:
    """Google's own chain, without its waits where no metadata service can be.

    With an endpoint of one's own, credentials are used only where the environment names them: those
    of a signed-in user would be renewed at Google's, and nothing else may be asked then.
    """
    told = environ.get("GOOGLE_CLOUD_PROJECT")
    if environ.get("GOOGLE_APPLICATION_CREDENTIALS") or (
        endpoint is None and _signed_in(environ).is_file()
    ):
        return _by_default()
    if environ.get("GCE_METADATA_HOST") or (endpoint is None and _on_google(environ)):
        return _of_metadata(environ)
    if endpoint is not None:
        return Found(credentials=AnonymousCredentials(), project=told)
    raise ProviderUnavailable(
        "no Google Cloud credentials were found: run `gcloud auth application-default login`, or"
        " set GOOGLE_APPLICATION_CREDENTIALS"
    )


def _by_default() -> Found:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a signed-in user without a quota project
            credentials, project = google.auth.default(scopes=SCOPES)
    except (GoogleAuthError, OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ProviderUnavailable(f"the Google Cloud credentials cannot be used: {told}") from error
    return Found(credentials=credentials, project=project)


def _of_metadata(environ: Mapping[str, str]) -> Found:
    """google.auth finds GCE_METADATA_HOST only together with GCE_METADATA_IP, and waits long."""
    from google.auth import compute_engine  # noqa: PLC0415 - reads the environment when imported

    place = environ.get("GCE_METADATA_HOST") or "169.254.169.254"
    parts = urlsplit(f"http://{place}")
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_METADATA_TIMEOUT_S
    )
    try:
        connection.request(
            "GET", "/computeMetadata/v1/project/project-id", headers={"Metadata-Flavor": "Google"}
        )
        answer = connection.getresponse()
        body = answer.read(1024)
        if answer.status != _OK or answer.headers.get("Metadata-Flavor") != "Google":
            raise ProviderUnavailable(f"the metadata service at {place} is not Google's")
    except (OSError, http.client.HTTPException) as error:
        raise ProviderUnavailable(
            f"the metadata service at {place} gave no Google Cloud credentials: {error}"
        ) from error
    finally:
        connection.close()
    project = environ.get("GOOGLE_CLOUD_PROJECT") or body.decode("ascii", "replace").strip()
    return Found(credentials=compute_engine.Credentials(), project=project or None)


def _on_google(environ: Mapping[str, str]) -> bool:
    return cloud_of() == "gcp" or any(environ.get(name) for name in SERVERLESS)


def _signed_in(environ: Mapping[str, str]) -> Path:
    """Where `gcloud auth application-default login` leaves its file."""
    told = environ.get("CLOUDSDK_CONFIG")
    if told:
        folder = Path(told)
    elif os.name == "nt":
        folder = Path(environ.get("APPDATA", "C:/")) / "gcloud"
    else:
        folder = Path(environ.get("HOME") or Path.home()) / ".config" / "gcloud"
    return folder / "application_default_credentials.json"


def _host_of(address: str) -> str:
    return urlsplit(f"//{address}").hostname or ""


def _named_none(gap: Gap) -> Gap:
    why = f"{gap.why}; no project is watched: name them in gcp.projects"
    return Gap(provider="gcp", what=gap.what, why=why)


def _only(gap: Gap, project: str) -> Gap:
    why = f"{gap.why}; only {project} is watched: name others in gcp.projects"
    return Gap(provider="gcp", what=gap.what, why=why)
