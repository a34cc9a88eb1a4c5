"""A patrol of Azure as others script against it: the command, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fake_azure import ONE, TWO, AzureServer, vm

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
RUN = str(Path(sys.executable).parent / "spend-watchdog")
Command = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def command(azure: AzureServer, tmp_path: Path) -> Command:
    """The command in a shell that knows this Azure and nothing else."""

    def run(*arguments: str, **variables: str) -> tuple[int, Any, str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "AWS_EC2_METADATA_DISABLED": "true",
            "SPEND_WATCHDOG_LEDGER": str(tmp_path / "ledger"),
            **azure.environment,
            **variables,
        }
        done = subprocess.run(
            [RUN, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        told = json.loads(done.stdout) if "--json" in arguments and done.stdout else done.stdout
        return done.returncode, told, done.stderr

    return run


def idle(azure: AzureServer, *machines: dict[str, Any]) -> None:
    azure.add(*machines)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=4)
    for machine in machines:
        for name in ("Percentage CPU", "Network In Total", "Network Out Total"):
            azure.put_metric(machine, name, [1.0] * 320, started_at=start, period_s=60)


def test_a_first_patrol_sees_everything_and_says_what_it_asked(
    azure: AzureServer, command: Command
) -> None:
    idle(azure, vm("trainer-1", tags={"spend-watchdog:workload": "bert"}))
    azure.add(
        vm("off", power="stopped"),
        vm("resting", power="deallocated"),
        vm("far", subscription=TWO, location="westeurope"),
    )
    code, report, _ = command("patrol", "--provider", "azure", "--json")
    assert code == 0
    assert report["gaps"] == []
    machines = {each["name"]: each for each in report["machines"]}
    assert set(machines) == {"trainer-1", "off", "resting", "far"}
    trainer, off = machines["trainer-1"], machines["off"]
    assert trainer["id"].startswith(f"azure:{ONE}:eastus:")
    assert (trainer["workload"], trainer["hourly_cost_usd"]) == ("bert", "3.06")
    assert (off["phase"], off["hourly_cost_usd"]) == ("idle", "3.06")
    assert any("deallocating" in each for each in off["why"])
    assert machines["resting"]["state"] == "stopped"
    assert report["cost_of_watching"]["api_calls"] == azure.calls
    assert azure.calls["resourcegraph:ListResources"] == 2, "machines, and storage"
    assert {each["scope"] for each in report["egress"]} == {"all"}


def test_without_being_asked_for_azure_is_found_by_its_credentials(
    azure: AzureServer, command: Command
) -> None:
    idle(azure, vm("trainer-1"))
    code, report, _ = command("patrol", "--json")
    assert code == 0
    assert [each["provider"] for each in report["machines"]] == ["azure"]


def test_a_subscription_that_cannot_be_seen_is_a_gap_and_exit_four(
    azure: AzureServer, command: Command
) -> None:
    idle(azure, vm("one"), vm("two", subscription=TWO))
    azure.fail("resourcegraph:ListResources", TWO)
    code, report, _ = command("patrol", "--provider", "azure", "--json")
    assert code == 4
    assert [each["name"] for each in report["machines"]] == ["one"]
    assert {gap["account"] for gap in report["gaps"]} == {TWO}


def test_subscriptions_can_be_named_by_the_environment(
    azure: AzureServer, command: Command
) -> None:
    idle(azure, vm("one"), vm("two", subscription=TWO))
    wanted = {"SPEND_WATCHDOG_AZURE__SUBSCRIPTIONS": f" {TWO} ,"}
    code, report, _ = command("patrol", "--provider", "azure", "--json", **wanted)
    assert code == 0
    assert [each["name"] for each in report["machines"]] == ["two"]
    assert azure.calls["subscriptions:ListSubscriptions"] == 0


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("AZURE__ENDPOINT", "lab:8443", "needs the form https://HOST"),
        ("AZURE__CA_BUNDLE", "/nowhere/ca.pem", "there is no file /nowhere/ca.pem"),
        ("AZURE__ENDPOIN", "x", "did you mean SPEND_WATCHDOG_AZURE__ENDPOINT?"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    command: Command, name: str, value: str, told: str
) -> None:
    code, _, error = command("patrol", "--provider", "azure", **{f"SPEND_WATCHDOG_{name}": value})
    assert code == 2
    assert f"SPEND_WATCHDOG_{name}: " in error
    assert told in error


def test_prices_are_refreshed_and_used(azure: AzureServer, command: Command) -> None:
    idle(azure, vm("trainer-1"))
    command("patrol", "--provider", "azure", "--json")
    azure.state.prices = [
        {
            "currencyCode": "USD",
            "retailPrice": 2.5,
            "armRegionName": "eastus",
            "effectiveStartDate": "2024-11-01T00:00:00Z",
            "meterName": "NC6s v3",
            "productName": "Virtual Machines NCSv3 Series",
            "skuName": "NC6s v3",
            "serviceName": "Virtual Machines",
            "unitOfMeasure": "1 Hour",
            "type": "Consumption",
            "priceType": "Consumption",
            "armSkuName": "Standard_NC6s_v3",
        }
    ]
    code, refreshed, _ = command("prices", "refresh", "--provider", "azure", "--json")
    assert (code, refreshed["api_calls"]) == (0, {"prices:ListPrices": 1})
    _, report, _ = command("patrol", "--provider", "azure", "--json")
    assert [Decimal(each["hourly_cost_usd"]) for each in report["machines"]] == [Decimal("2.5")]


def test_doctor_and_init_know_azure(azure: AzureServer, command: Command) -> None:
    idle(azure, vm("trainer-1"))
    azure.calls.clear()
    code, told, _ = command("init", "--json")
    assert code == 0
    assert "Microsoft.ResourceGraph/resources/read" in told["roles"]["azure"]
    assert told["machines_seen"] == 1
