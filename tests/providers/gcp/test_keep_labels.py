"""A keep on the machine itself, spelt as Google's labels can hold it and the watchdog reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from providers.gcp.adapter import GcpProvider
from tests.fake_gcp import PROJECT, FakeGcp
from watchdog.keeps import keep_of

Make = Callable[..., GcpProvider]
UNTIL = datetime(2099, 12, 1, 18, 30, tzinfo=UTC)


def named(native: str) -> str:
    return f"gcp:{PROJECT}:us-central1:{native}"


def test_a_keep_is_written_beside_other_labels_and_read_again(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine(labels={"owner": "ana"})
    made = provider()
    assert made.write_keep(named(native), UNTIL) is None
    assert gcp.find(native)["labels"] == {
        "owner": "ana",
        "spend-watchdog-keep-until": "20991201t183000z",
    }
    (machine,) = made.machines().values
    keep = keep_of(machine, {})
    assert keep is not None
    assert keep.until == UNTIL


@pytest.mark.parametrize(("status", "words"), [(403, "setLabels"), (412, "refused")])
def test_a_keep_that_cannot_be_written_says_why(
    gcp: FakeGcp, provider: Make, status: int, words: str
) -> None:
    native = gcp.machine()
    gcp.fail("compute:SetLabels", status)
    assert words in str(provider().write_keep(named(native), UNTIL))


def test_what_is_no_machine_bears_no_label(gcp: FakeGcp, provider: Make) -> None:
    assert "is no instance" in str(provider().write_keep(named("7"), UNTIL))
