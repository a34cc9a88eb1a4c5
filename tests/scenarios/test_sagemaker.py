"""An account whose GPU hours are SageMaker's: seen, phased, attributed and metered, to the cent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_pack
from providers.aws.adapter import AwsProvider
from providers.aws.session import open_session
from tests.fake_sagemaker import FakeSageMaker
from tests.moto_aws import AwsServer, put_metric
from tests.providers.aws.quick import QUICK
from watchdog.costs.breakdown import breakdown
from watchdog.ledger.store import Ledger
from watchdog.mapping import load_mapping
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PRICES = {
    ("ml.g5.12xlarge", "Training"): Decimal("7.08"),
    ("ml.g5.12xlarge", "Hosting"): Decimal("99.00"),
    ("ml.g5.xlarge", "Notebook"): Decimal("1.40"),
    ("ml.g5.xlarge", "Studio-Notebook"): Decimal("1.40"),
    ("ml.g5.xlarge", "Studio-JupyterLab"): Decimal("1.40"),
    ("ml.g5.xlarge", "Training"): Decimal("1.40"),
    ("ml.g5.xlarge", "Hosting"): Decimal("1.40"),
    ("ml.g4dn.12xlarge", "Training"): Decimal("99.00"),
}
MAPPING = """
schema: spend-watchdog/mapping/1
workloads:
  - workload: chat-service
    group: web
    match: {name: "chat*"}
  - workload: ana-desk
    match: {owner: ana}
"""
pytestmark = pytest.mark.slow


def at(clock: str) -> datetime:
    hour, minute = clock.split(":")
    return NOW.replace(hour=int(hour), minute=int(minute))


class Account:
    """A region of SageMaker, and the ledger of its patrols."""

    def __init__(self, aws: AwsServer, folder: Path) -> None:
        self.aws = aws
        self.fake = FakeSageMaker()
        aws.stand_in("sagemaker", self.fake)
        self.ledger = Ledger.open(str(folder / "ledger"))
        self.session = open_session()

    def used(self, kind: str, values: dict[tuple[str, str], float], metric: str, **of: str) -> None:
        for (begin, end), value in values.items():
            minutes = (at(end) - at(begin)) // timedelta(minutes=5)
            put_metric(
                self.aws.client("cloudwatch"),
                metric,
                [value] * minutes,
                dimensions=of,
                started_at=at(begin),
                namespace=f"/aws/sagemaker/{kind}",
            )

    def patrol(self, now: datetime = NOW) -> dict[str, Any]:
        provider = AwsProvider(
            regions=["us-east-1"],
            sagemaker=True,
            limits=QUICK,
            session=self.session,
            clock=lambda: now,
        )
        parts = Parts(
            providers=[provider],
            ledger=self.ledger,
            policy=load_pack("observe"),
            mapping=load_mapping(MAPPING, "mapping.yaml"),
            accepted_gaps=("mapping file",),
        )
        report: dict[str, Any] = patrol_json(patrol(parts, now=now))
        return report

    def costs(self, by: str) -> dict[str, dict[str, Decimal | None]]:
        found = breakdown(
            self.ledger, since=NOW - timedelta(days=2), until=NOW + timedelta(days=1), by=by
        )
        return {row.key: dict(row.amounts()) for row in found.rows}


@pytest.fixture
def account(signed_in: AwsServer, tmp_path: Path) -> Account:
    """With the prices that a refresh would have brought; of others none is known."""
    account = Account(signed_in, tmp_path)
    account.ledger.append("prices", [*map(price_row, PRICES.items())])
    return account


def price_row(of: tuple[tuple[str, str], Decimal]) -> dict[str, object]:
    (machine_type, component), usd = of
    return {
        "provider": "aws",
        "region": "us-east-1",
        "machine_type": machine_type,
        "operating_system": "Linux/UNIX",
        "component": component,
        "hourly_usd": usd,
        "source": "aws-price-list",
        "as_of": "2026-11-20",
        "observed_at": NOW - timedelta(days=1),
    }


def by_native(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["id"].rsplit(":", 1)[-1]: each for each in report["machines"]}


def dollars(amounts: dict[str, Decimal | None]) -> dict[str, str]:
    """What is not nothing."""
    return {name: f"{value:.2f}" for name, value in amounts.items() if value}


def test_a_job_of_two_instances_is_phased_and_metered_instance_by_instance(
    account: Account,
) -> None:
    account.fake.training_job(
        "fit-2026-11-23-05-20-00-123",
        "ml.g5.12xlarge",
        at("05:20"),
        count=2,
        TrainingJobStatus="Completed",
        SecondaryStatus="Completed",
        TrainingEndTime=at("07:35"),
    )
    host = "fit-2026-11-23-05-20-00-123/algo-"
    busy, quiet = {("05:20", "07:35"): 100.0}, {("05:20", "07:35"): 0.0}
    account.used("TrainingJobs", busy, "GPUUtilization", Host=f"{host}1")
    account.used("TrainingJobs", quiet, "GPUUtilization", Host=f"{host}2")
    report = account.patrol()
    assert report["gaps"] == []
    assert {each["workload"] for each in report["machines"]} == {"fit"}
    assert {each["kind"] for each in report["machines"]} == {"training"}
    costs = account.costs("machine")
    first, second = (dollars(amounts) for _, amounts in sorted(costs.items()))
    # 05:20 to 07:35 are 2.25 h at 7.08; without activity two of them are set-up
    assert first == {"active": "15.93", "total": "15.93"}
    assert second["setup"] == "14.16"
    assert second["idle"] == "1.77"
    (both,) = account.costs("workload").values()
    assert dollars(both)["total"] == "31.86"


def test_everything_that_costs_by_the_hour_and_what_nobody_can_measure(account: Account) -> None:
    fake = account.fake
    desk = fake.notebook("desk", "ml.g5.xlarge", at("04:00"))
    fake.domain()
    fake.space("llm-desk", "ana")
    fake.app("ml.g5.xlarge", at("06:00"), SpaceName="llm-desk")
    fake.endpoint("chat", "ml.g5.xlarge", at("07:00"), count=2)
    served = {("07:00", "08:00"): 50.0}
    account.used("Endpoints", served, "GPUUtilization", EndpointName="chat", VariantName="all")
    fake.training_job(
        "warm",
        "ml.g5.xlarge",
        at("01:00"),
        config={"KeepAlivePeriodInSeconds": 14_400},
        TrainingJobStatus="Completed",
        TrainingEndTime=at("06:30"),
        WarmPoolStatus={"Status": "Available"},
    )
    fake.processing_job("clean", "ml.g4dn.12xlarge", at("07:00"))
    report = account.patrol()
    assert report["gaps"] == []
    seen = by_native(report)
    kinds = {name.split(".")[0]: each["kind"] for name, each in seen.items()}
    assert kinds == {
        "notebook": "notebook",
        "app": "notebook",
        "endpoint": "service",
        "training": "training",
        "warmpool": "training",
        "processing": "batch",
    }
    app = next(each for name, each in seen.items() if name.startswith("app."))
    assert (app["workload"], app["owner"]) == ("ana-desk", "ana")
    assert app["attributed_by"] == "mapping file, line 7"
    chat = next(each for name, each in seen.items() if name.startswith("endpoint."))
    assert (chat["workload"], chat["phase"], chat["decision"]) == (
        "chat-service",
        "active",
        "leave",
    )
    notebook = seen["notebook.desk.20261123T040000Z"]
    assert (notebook["phase"], notebook["decision"]) == ("unknown", "unknown")
    assert f"agent --machine {notebook['id']}" in notebook["why"][-1]
    assert notebook["controller"] == "SageMaker"
    pool = seen["warmpool.warm.20261123T010000Z.algo-1"]
    assert (pool["phase"], pool["measured_by"]) == ("idle", "sagemaker:WarmPoolStatus")
    assert pool["decision"] == "notify"
    clean = next(each for name, each in seen.items() if name.startswith("processing."))
    assert clean["hourly_cost_usd"] is None

    costs = {key: dollars(amounts) for key, amounts in account.costs("workload").items()}
    assert costs["desk"] == {"unknown": "5.60", "total": "5.60"}  # 4 h at 1.40
    assert costs["ana-desk"]["total"] == "2.80"  # 2 h
    assert costs["chat-service"] == {"active": "2.80", "total": "2.80"}  # 2 of 1 h
    # the job ran 5.5 h unmeasured; its pool waits since 06:30
    assert costs["warm"]["unknown"] == "7.70"
    assert costs["warm"]["idle"] == "2.10"
    assert not any("sum over" in line for line in clean["why"]), "nothing measured it"
    unpriced = account.costs("workload")["clean"]
    assert not unpriced.get("total"), "never a number of its own"

    desk |= {"NotebookInstanceStatus": "Stopped", "LastModifiedTime": at("08:20")}
    account.patrol(at("08:30"))
    costs = {key: dollars(amounts) for key, amounts in account.costs("workload").items()}
    assert costs["desk"]["total"] == "6.07"  # until 08:20: 4.3333 h at 1.40


def test_nothing_is_ever_changed(account: Account, server: AwsServer) -> None:
    account.fake.notebook("desk", "ml.g5.xlarge", at("04:00"))
    account.fake.training_job("fit", "ml.g5.xlarge", at("04:00"))
    account.patrol()
    asked = {name.split(":")[1] for name in server.calls if name.startswith("sagemaker:")}
    assert asked
    assert all(name.startswith(("List", "Describe")) for name in asked)
