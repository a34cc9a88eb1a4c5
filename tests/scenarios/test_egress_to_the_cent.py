"""A seeded account at a real AWS API, over a month's end: egress equals figures made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_pack
from providers.aws.adapter import AwsProvider
from providers.aws.session import open_session
from tests.moto_aws import AwsServer, launch, put_metric
from tests.providers.aws.quick import QUICK, TWO
from watchdog.costs.breakdown import breakdown
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json

pytestmark = pytest.mark.slow
GB = 2**30
HOUR = timedelta(hours=1)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
BEFORE = DECEMBER - 2 * HOUR
"""The first patrol: everything that it sees is November's."""
AFTER = DECEMBER + 3 * HOUR + timedelta(minutes=7)
"""The last patrol; the months meet in its window."""


class Account:
    """An account whose machines send by the hour, and patrols of it at any time."""

    def __init__(self, aws: AwsServer, folder: Path) -> None:
        self.aws = aws
        self.ledger = Ledger.open(str(folder / "ledger"))
        self.reports: list[Any] = []
        self.storage = False
        self.session = open_session()
        self.session.get_credentials()

    def machine(self, name: str, region: str = "us-east-1") -> str:
        (made,) = launch(self.aws.client("ec2", region), "g5.xlarge", tags={"Name": name})
        return made

    def sends(self, machine: str, gb: dict[datetime, float], region: str = "us-east-1") -> None:
        self._put("AWS/EC2", "NetworkOut", gb, region, InstanceId=machine)

    def gateway(self, name: str, **tags: str) -> str:
        ec2 = self.aws.client("ec2")
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        told = [{"Key": key, "Value": value} for key, value in {"Name": name, **tags}.items()]
        made = ec2.create_nat_gateway(
            SubnetId=subnet, TagSpecifications=[{"ResourceType": "natgateway", "Tags": told}]
        )
        return str(made["NatGateway"]["NatGatewayId"])

    def processes(
        self, gateway: str, out: dict[datetime, float], back: dict[datetime, float]
    ) -> None:
        """Every byte passes both sides of the gateway."""
        for name in ("BytesInFromSource", "BytesOutToDestination"):
            self._put("AWS/NATGateway", name, out, "us-east-1", NatGatewayId=gateway)
        for name in ("BytesInFromDestination", "BytesOutToSource"):
            self._put("AWS/NATGateway", name, back, "us-east-1", NatGatewayId=gateway)

    def serves(self, bucket: str, gb: dict[datetime, float]) -> None:
        dimensions = {"BucketName": bucket, "FilterId": "EntireBucket"}
        self._put("AWS/S3", "BytesDownloaded", gb, "us-east-1", **dimensions)

    def _put(
        self, namespace: str, name: str, gb: dict[datetime, float], region: str, **of: str
    ) -> None:
        """Each hour's volume in two points, as metrics come: not at the hour's beginning alone."""
        for hour, volume in gb.items():
            put_metric(
                self.aws.client("cloudwatch", region),
                name,
                [volume * GB / 2] * 2,
                dimensions=of,
                started_at=hour,
                namespace=namespace,
                period_s=1800,
            )

    def patrol(self, now: datetime) -> dict[str, Any]:
        """The rows under `egress`, by the native id."""
        provider = AwsProvider(regions=TWO, limits=QUICK, session=self.session, clock=lambda: now)
        parts = Parts(
            providers=[provider],
            ledger=self.ledger,
            policy=load_pack("observe"),
            storage=self.storage,
        )
        report: Any = patrol_json(patrol(parts, now=now))
        self.reports.append(report)
        return {row["id"].rsplit(":", 1)[-1]: row for row in report["egress"]}

    def costs(self, by: str = "workload") -> dict[str, str]:
        found = breakdown(self.ledger, since=DECEMBER - timedelta(days=30), until=AFTER, by=by)
        lines = {row.key: row.amounts() for row in (*found.rows, found.totals)}
        return {key: f"{amounts['egress']:.2f}" for key, amounts in lines.items()}


@pytest.fixture
def account(signed_in: AwsServer, tmp_path: Path) -> Account:
    return Account(signed_in, tmp_path)


def usd(row: dict[str, Any]) -> str:
    return f"{Decimal(row['cost_usd']):.2f}"


def test_a_seeded_account_over_the_end_of_a_month(account: Account) -> None:
    trainer = account.machine("trainer-1")
    other = account.machine("other-1", "us-west-2")
    nat = account.gateway("nat-a", **{"spend-watchdog:workload": "trainer"})
    start = DECEMBER - timedelta(days=3)
    account.sends(trainer, {start: 10_000, start + HOUR: 1_000, DECEMBER + HOUR: 60})
    account.sends(other, {start + HOUR: 500, DECEMBER: 70, DECEMBER + 2 * HOUR: 5}, "us-west-2")
    account.processes(nat, {start: 100, DECEMBER: 10}, {start: 900, DECEMBER: 0})
    account.serves("datasets", {DECEMBER: 40})

    first = account.patrol(BEFORE)
    # start: 10,000, of which 100 are free: 9,900 at 0.09 = 891.00
    # an hour later, us-east-1 before us-west-2: 1,000 from 10,000 on, so 340 at 0.09 = 30.60 and
    # 660 at 0.085 = 56.10; then 500 at 0.085 = 42.50
    assert usd(first[trainer]) == "977.70"
    assert usd(first[other]) == "42.50"
    assert usd(first[nat]) == "45.00"  # 1,000 at 0.045, whatever the month's volume
    assert first[nat]["bytes"] == 1_000 * GB
    assert "datasets" not in first

    account.patrol(DECEMBER + HOUR)
    last = account.patrol(AFTER)
    # December: the bucket's 40 are free; of other's 70 are 60, so 10 at 0.09 = 0.90;
    # trainer's 60 at 0.09 = 5.40; other's 5 at 0.09 = 0.45
    assert usd(last["datasets"]) == "0.00"
    assert usd(last[trainer]) == "5.40"
    assert usd(last[other]) == "1.35"
    assert usd(last[nat]) == "0.45"
    assert (last[trainer]["from"], last[trainer]["until"]) == (
        "2026-12-01T01:00:00Z",
        "2026-12-01T02:00:00Z",
    )
    assert account.costs() == {
        "trainer": "1028.55",  # 977.70 + 5.40 + 45.00 + 0.45
        "other": "43.85",
        "unattributed": "0.00",
        "total": "1072.40",
    }
    assert {gap["what"] for report in account.reports for gap in report["gaps"]} <= {
        "start and stop history"
    }


def test_what_a_bucket_sends_belongs_to_the_runs_that_wrote_there(account: Account) -> None:
    """Storage knows more of a bucket than its tags tell; both meters say the same."""
    account.aws.client("s3").create_bucket(Bucket="datasets")
    account.serves("datasets", {DECEMBER: 300})
    told = {
        "run_id": "r1",
        "revision": "1",
        "workload": "llama",
        "started_at": BEFORE,
        "outcome": "succeeded",
        "data": "s3://datasets/corpus/",
        "observed_at": BEFORE,
    }
    account.ledger.append("runs", [told])
    account.storage = True
    bucket = account.patrol(AFTER)["datasets"]
    assert (bucket["workload"], bucket["attributed_by"]) == ("llama", "run r1 names the bucket")
    assert account.costs() == {"llama": "18.00", "total": "18.00"}  # 200 at 0.09


@pytest.mark.parametrize(
    ("volume_tb", "dollars"),
    [
        (10, "912.60"),  # 10,140 paid at 0.09
        (50, "4394.70"),  # 10,240 at 0.09 = 921.60; 40,860 at 0.085 = 3,473.10
        (150, "11564.20"),  # 921.60; 40,960 at 0.085 = 3,481.60; 102,300 at 0.07 = 7,161.00
        (151, "11617.40"),  # 921.60; 3,481.60; 102,400 at 0.07 = 7,168.00; 924 at 0.05 = 46.20
    ],
)
def test_each_boundary_of_the_tiers(account: Account, volume_tb: int, dollars: str) -> None:
    trainer = account.machine("trainer-1")
    hours = {DECEMBER + HOUR * place: volume_tb * 1024 / 3 for place in range(3)}
    account.sends(trainer, hours)
    row = account.patrol(AFTER)[trainer]
    assert row["bytes"] == pytest.approx(volume_tb * 1024 * GB, abs=2)
    assert usd(row) == dollars


def test_patrols_often_or_rarely_cost_the_same(account: Account, tmp_path: Path) -> None:
    trainer = account.machine("trainer-1")
    account.sends(trainer, {DECEMBER + HOUR * hour: 38 for hour in range(-12, 3)})
    for minutes in range(-180, 181, 30):
        account.patrol(DECEMBER + timedelta(minutes=minutes))
    account.patrol(AFTER)
    often = account.costs()
    # November: 12 hours, 456 GB, so 356 at 0.09; December: 3 hours, 114 GB, so 14 at 0.09
    assert often == {"trainer": "33.30", "total": "33.30"}
    rarely = Account(account.aws, tmp_path / "rarely")
    rarely.patrol(AFTER)
    assert rarely.costs() == often


def test_calls_of_the_second_patrol(account: Account) -> None:
    trainer = account.machine("trainer-1")
    account.sends(trainer, {DECEMBER: 1})
    account.patrol(DECEMBER + HOUR)
    account.aws.forget_calls()
    account.patrol(AFTER)
    calls = account.aws.calls
    assert calls["ec2:DescribeNatGateways"] == len(TWO)
    assert "tag:GetResources" not in calls, "no bucket has request metrics"
    of_egress = [
        call
        for call in account.aws.requests
        if call.operation == "cloudwatch:GetMetricData"
        and call.parameters["MetricDataQueries"][0]["Id"].startswith("e")
    ]
    assert [len(call.parameters["MetricDataQueries"]) for call in of_egress] == [1]
