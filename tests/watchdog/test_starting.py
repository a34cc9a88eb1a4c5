"""What `init` writes and prints must be what a patrol takes."""

import json
import re
from pathlib import Path

import pytest

from tests.builders import NOW, machine
from watchdog.alerts.slack import POSTING
from watchdog.attribution import matches
from watchdog.mapping import load_mapping
from watchdog.settings import LedgerCareSettings, load_settings
from watchdog.starting import manifest_text, mapping_text, settings_text


@pytest.mark.parametrize(
    "name",
    [
        "[red]boom[/red]",
        "\U0001f525gpu",
        "a*b?",
        'quo"te',
        "plain",
        "\x9b31mred",
        "\u202egnp",
        "flag\U000e0067",
    ],
)
def test_whatever_a_machine_is_called_its_entry_matches_it(name: str) -> None:
    one = machine(name)
    (entry,) = load_mapping(mapping_text([one], NOW), "mapping.yaml").entries
    assert matches(entry, one)


def test_the_care_that_the_settings_file_shows_is_the_default(tmp_path: Path) -> None:
    text = settings_text("somewhere").partition("[ledger_care]")[2].partition("[prometheus]")[0]
    shown = re.findall(r"^# (\w+ = \S+)", text, re.MULTILINE)
    assert len(shown) == len(LedgerCareSettings.model_fields)
    file = tmp_path / "settings.toml"
    file.write_text("\n".join(["[ledger_care]", *shown]), encoding="utf-8")
    assert load_settings(file).ledger_care == LedgerCareSettings()


def test_the_manifest_grants_what_messages_and_buttons_need() -> None:
    told = json.loads(manifest_text())
    assert POSTING in told["oauth_config"]["scopes"]["bot"]
    assert told["settings"]["interactivity"] == {"is_enabled": True}
    assert told["settings"]["socket_mode_enabled"] is True, "else interactivity needs an address"
