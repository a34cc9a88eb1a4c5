"""Google Cloud from end to end: the command, a real adapter, and a Google on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_policy
from providers.gcp.adapter import GcpProvider
from tests.fake_gcp import PROJECT, FakeGcp
from tests.providers.gcp.conftest import QUICK
from watchdog.actions import Acting
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.incident_news import IncidentNews, Message, Stage
from watchdog.ledger.incidents import IncidentLog
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport

pytestmark = pytest.mark.slow
COMMAND = str(Path(sys.executable).parent / "spend-watchdog")
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
START = NOW - timedelta(minutes=NOW.minute % 5)
STEP = timedelta(minutes=5)
MIG = "projects/1/zones/us-central1-a/instanceGroupManagers/trainers"
SSD = {"type": "SCRATCH", "diskSizeGb": "375"}
BOOT = {"type": "PERSISTENT", "boot": True, "diskSizeGb": "100"}
POLICY = """
schema: spend-watchdog/policy/1
mode: act
rules:
  - name: idle
    when: phase == "idle" && idle.minutes >= 30
    because: Nothing was computed for half an hour.
    then: stop
    grace: 10m
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGcp]:
    with FakeGcp() as running:
        yield running


@pytest.fixture
def gcp(server: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> FakeGcp:
    server.reset()
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return server


class User:
    """Somebody with an endpoint, a folder and nothing else."""

    def __init__(self, folder: Path, gcp: FakeGcp) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SPEND_WATCHDOG_LEDGER": str(folder / "ledger"),
            "SPEND_WATCHDOG_PROVIDERS": "gcp",
            **gcp.environment,
        }

    def run(self, *arguments: str) -> tuple[int, Any]:
        done = subprocess.run(
            [COMMAND, *arguments, "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def user(tmp_path: Path, gcp: FakeGcp) -> User:
    return User(tmp_path, gcp)


def test_a_patrol_of_a_project(user: User, gcp: FakeGcp) -> None:
    labels = {"spend-watchdog-workload": "llama", "spend-watchdog-owner": "ana"}
    idle = gcp.machine("trainer-1", labels=labels)
    gcp.quiet(idle, START - timedelta(hours=5), 300)
    busy = gcp.machine("trainer-2", "a2-highgpu-1g")
    gcp.gpu(busy, [96.0] * 300, START - timedelta(hours=5))
    gcp.machine("dark", "a3-highgpu-8g")
    gcp.machine("web", "e2-small")
    code, report = user.run("patrol")
    assert (code, report["gaps"]) == (0, [])
    seen = {each["name"]: each for each in report["machines"]}
    assert set(seen) == {"trainer-1", "trainer-2", "dark"}
    first = seen["trainer-1"]
    assert first["id"] == f"gcp:{PROJECT}:us-central1:{idle}"
    assert (first["provider"], first["zone"]) == ("gcp", "us-central1-a")
    assert (first["workload"], first["owner"], first["phase"]) == ("llama", "ana", "idle")
    assert first["attributed_by"] == "tag spend-watchdog:workload"
    assert first["hourly_cost_usd"] == "0.853624271"
    assert first["idle_minutes"] >= 290
    assert seen["trainer-2"]["phase"] == "active"
    assert (seen["dark"]["phase"], seen["dark"]["decision"]) == ("unknown", "unknown")
    assert any("Ops Agent" in why for why in seen["dark"]["why"])
    assert report["cost_of_watching"]["api_calls"] == dict(gcp.calls)
    assert {name for name in gcp.calls if "Stop" in name} == set()
    asked = [
        query["filter"].split('"')[1]
        for name, query in gcp.queries
        if name == "monitoring:ListTimeSeries"
    ]
    assert len(asked) == len(set(asked)), "one call a metric type, two weeks included"


def test_a_later_patrol_asks_each_metric_type_once(user: User, gcp: FakeGcp) -> None:
    for number in range(3):
        gcp.quiet(gcp.machine(f"trainer-{number}"), START - timedelta(hours=5), 300)
    user.run("patrol")
    gcp.calls.clear()
    gcp.queries.clear()
    _, report = user.run("patrol")
    asked = [
        query["filter"].split('"')[1]
        for name, query in gcp.queries
        if name == "monitoring:ListTimeSeries"
    ]
    assert len(asked) == len(set(asked))
    assert gcp.calls["compute:AggregatedListInstances"] == 1
    assert report["cost_of_watching"]["api_calls"] == dict(gcp.calls)


def test_a_project_that_is_denied_is_told_by_the_exit_code(user: User, gcp: FakeGcp) -> None:
    gcp.fail("compute:AggregatedListInstances", 403)
    code, report = user.run("patrol")
    assert code == 4
    assert "compute.instances.list" in report["gaps"][0]["why"]


def test_init_prints_the_role_and_doctor_tries_it(user: User, gcp: FakeGcp) -> None:
    gcp.machine()
    code, told = user.run("init")
    assert code == 0
    assert "compute.instances.list" in told["roles"]["gcp"]
    _, checks = user.run("doctor")
    gcp_checks = {each["what"] for each in checks["checks"] if each["what"].startswith("gcp: ")}
    assert "gcp: monitoring.timeSeries.list" in gcp_checks


def test_a_setting_that_is_misspelt_is_one_line(user: User) -> None:
    user.environment["SPEND_WATCHDOG_GCP__ENDPOIMT"] = "http://127.0.0.1:1"
    code, told = user.run("patrol")
    assert code == 2
    assert "GCP__ENDPOINT" in told


class Channel:
    """People who read everything."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def __call__(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        self.stages.append(news.stage)
        ts = known[-1][1] if known else f"{len(self.stages)}.0"
        return Delivery(channel="C1", delivered=True, why="posted", ts=ts)


class Watch:
    """Patrols that act, five minutes apart by their own clock."""

    def __init__(self, gcp: FakeGcp, folder: Path) -> None:
        self.gcp = gcp
        self.ledger = Ledger.open(str(folder / "ledger"))
        self.channel = Channel()
        self.now = START

    def patrol(self, *, after: timedelta = STEP) -> PatrolReport:
        self.now += after
        provider = GcpProvider(
            endpoint=self.gcp.url,
            monitoring_endpoint=self.gcp.monitoring,
            limits=QUICK,
            clock=lambda: self.now,
        )
        parts = Parts(
            providers=[provider],
            ledger=self.ledger,
            policy=load_policy(POLICY, "test.yaml"),
            acting=Acting(channels=[self.channel]),
            egress=False,
        )
        return patrol(parts, now=self.now)

    def quiet(self, **machine: Any) -> str:
        native = self.gcp.machine(started_at=START - timedelta(days=2), **machine)
        self.gcp.quiet(native, START - timedelta(hours=3), 300)
        return native

    def kinds(self, native: str) -> list[str]:
        of = f"gcp:{PROJECT}:us-central1:{native}"
        return [
            event.kind.value for kept in IncidentLog(self.ledger).of(of) for event in kept.events
        ]


@pytest.fixture
def watch(gcp: FakeGcp, tmp_path: Path) -> Watch:
    return Watch(gcp, tmp_path)


def results(report: PatrolReport) -> list[tuple[str, str]]:
    return [(each.action, each.result.value) for each in report.outcomes]


def test_an_idle_machine_is_warned_and_then_stopped_once(watch: Watch) -> None:
    native = watch.quiet()
    assert results(watch.patrol()) == [("warn", "delivered")]
    assert results(watch.patrol()) == []
    assert watch.gcp.stopped == []
    assert results(watch.patrol(after=timedelta(minutes=10))) == [("stop", "stopped")]
    assert watch.gcp.find(native)["status"] == "TERMINATED"
    assert watch.kinds(native) == ["opened", "telling", "warned", "stop_intended", "stopped"]
    assert results(watch.patrol()) == []
    assert len(watch.gcp.stopped) == 1


def test_spot_is_stopped_like_any_other(watch: Watch) -> None:
    native = watch.quiet(scheduling={"provisioningModel": "SPOT"})
    watch.patrol()
    assert results(watch.patrol(after=timedelta(minutes=15))) == [("stop", "stopped")]
    assert watch.gcp.find(native)["status"] == "TERMINATED"


@pytest.mark.parametrize(
    "machine",
    [
        {"disks": [BOOT, SSD]},
        {"metadata": {"items": [{"key": "created-by", "value": MIG}]}},
        {"labels": {"goog-k8s-cluster-name": "c", "goog-k8s-node-pool-name": "p"}},
        {"labels": {"spend-watchdog-protected": "true"}},
        {"labels": {"spend-watchdog-keep-until": "2099-01-01"}},
        {"labels": {"spend-watchdog-kind": "service"}},
        {"scheduling": {"provisioningModel": "FLEX_START"}},
        {"scheduling": {"provisioningModel": "RESERVATION_BOUND"}},
    ],
    ids=["ssd", "mig", "gke", "protected", "kept", "service", "flex-start", "reservation"],
)
def test_what_must_not_be_stopped_is_neither_warned_of_nor_stopped(
    watch: Watch, machine: dict[str, Any]
) -> None:
    native = watch.quiet(**machine)
    for _ in range(4):
        watch.patrol(after=timedelta(minutes=10))
    assert watch.gcp.find(native)["status"] == "RUNNING"
    assert watch.gcp.stopped == []
    assert Stage.STOPPING not in watch.channel.stages


def test_a_stop_that_fails_after_it_was_taken_is_tried_again(watch: Watch) -> None:
    native = watch.quiet()
    watch.gcp.stop_error = {"code": "INTERNAL_ERROR", "message": "try again"}
    watch.patrol()
    assert results(watch.patrol(after=timedelta(minutes=15))) == [("stop", "failed")]
    watch.gcp.stop_error = None
    assert results(watch.patrol()) == [("stop", "stopped")]
    assert watch.gcp.find(native)["status"] == "TERMINATED"


def test_a_label_set_after_the_warning_is_seen_before_the_stop(watch: Watch) -> None:
    native = watch.quiet()
    watch.patrol()
    watch.gcp.find(native)["labels"] = {"spend-watchdog-protected": "true"}
    watch.patrol(after=timedelta(minutes=15))
    assert watch.gcp.find(native)["status"] == "RUNNING"
    assert watch.gcp.stopped == []


@pytest.fixture
def metadata() -> Iterator[tuple[str, list[str]]]:
    """A metadata service with a service account whose tokens are numbered."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            asked.append(self.path)
            tokens = sum("token" in path for path in asked)
            account = {"email": "patrols@ml-lab.iam", "scopes": ["cloud-platform"], "aliases": []}
            told = "googleapis.com"
            if "project-id" in self.path:
                told = PROJECT
            elif "token" in self.path:
                token = {"access_token": f"token-{tokens}", "expires_in": 3600}
                told = json.dumps({**token, "token_type": "Bearer"})
            elif "service-accounts" in self.path:
                told = json.dumps(account)
            payload = told.encode()
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            is_text = told in {PROJECT, "googleapis.com"}
            self.send_header("content-type", "text/plain" if is_text else "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{service.server_port}", asked
    service.shutdown()
    service.server_close()


def test_a_machine_of_googles_patrols_by_its_service_account(
    user: User, gcp: FakeGcp, metadata: tuple[str, list[str]]
) -> None:
    place, asked = metadata
    gcp.machine("trainer-1")
    gcp.fail("compute:AggregatedListInstances", 401, reason="authError", times=1)
    user.environment["GCE_METADATA_HOST"] = place
    code, report = user.run("patrol")
    assert (code, report["gaps"]) == (0, [])
    assert [each["name"] for each in report["machines"]] == ["trainer-1"]
    assert "Bearer token-1" in gcp.tokens
    assert "Bearer token-2" in gcp.tokens, "a token that Google refused is renewed"
    assert any("service-accounts/default" in path for path in asked)


def test_credentials_that_google_refuses_for_good(
    user: User, gcp: FakeGcp, metadata: tuple[str, list[str]]
) -> None:
    gcp.machine("trainer-1")
    gcp.fail("compute:AggregatedListInstances", 401, reason="authError")
    user.environment["GCE_METADATA_HOST"] = metadata[0]
    code, report = user.run("patrol")
    assert code == 4
    assert "sign in again" in report["gaps"][0]["why"]
