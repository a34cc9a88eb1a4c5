"""Where the Lambda function's settings come from."""

from pathlib import Path

import pytest

from watchdog.aws_lambda import resolve
from watchdog.settings import SettingsError

TOKEN = "SPEND_WATCHDOG_SLACK__TOKEN"


def test_what_points_elsewhere_is_replaced_by_what_lies_there() -> None:
    environment = {f"{TOKEN}_FROM": "ssm:/a", "OTHER_FROM": "x", "SPEND_WATCHDOG_ACT": "true"}
    assert resolve(environment, {"ssm:/a": "xoxb-1\n"}.__getitem__) is None
    assert environment == {TOKEN: "xoxb-1", "OTHER_FROM": "x", "SPEND_WATCHDOG_ACT": "true"}


def test_a_file_is_written_and_named() -> None:
    environment = {"SPEND_WATCHDOG_POLICY_FROM": "ssm:/p", "SPEND_WATCHDOG_CONFIG_FROM": "ssm:/c"}
    config = resolve(environment, {"ssm:/p": "rules: []\n", "ssm:/c": 'ledger = "x"\n'}.__getitem__)
    assert config is not None
    assert config.read_text(encoding="utf-8") == 'ledger = "x"\n'
    assert Path(environment["SPEND_WATCHDOG_POLICY"]).read_text(encoding="utf-8") == "rules: []\n"
    assert "SPEND_WATCHDOG_CONFIG" not in environment


@pytest.mark.parametrize(
    ("more", "text", "why"),
    [({TOKEN: "xoxb-2"}, "xoxb-1", "are both set"), ({}, " \n", "ssm:/a is empty")],
)
def test_what_is_wrong_leaves_the_environment_as_it_was(
    more: dict[str, str], text: str, why: str
) -> None:
    environment = {f"{TOKEN}_FROM": "ssm:/a", **more}
    before = dict(environment)
    with pytest.raises(SettingsError, match=why):
        resolve(environment, lambda _: text)
    assert environment == before
