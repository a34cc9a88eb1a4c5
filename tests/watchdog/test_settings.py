"""Settings: file, environment, options; and one clear line for each mistake."""

from pathlib import Path

import pytest

from watchdog.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def written(text: str) -> Path:
    path = Path("spend-watchdog.toml")
    path.write_text(text, encoding="utf-8")
    return path


def refused(config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as told:
        load_settings(config)
    assert told.value.exit_code == 2
    return str(told.value)


def test_without_any_setting_it_observes_into_the_platforms_folder(tmp_path: Path) -> None:
    settings = load_settings()
    assert (settings.policy, settings.act, settings.providers) == ("observe", False, None)
    assert settings.ledger == str(tmp_path / "data" / "spend-watchdog" / "ledger")


def test_options_beat_the_environment_and_the_environment_beats_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written('ledger = "from-file"\npolicy = "strict"\n')
    assert load_settings().ledger == "from-file"
    monkeypatch.setenv("SPEND_WATCHDOG_LEDGER", "from-environment")
    assert load_settings().ledger == "from-environment"
    assert load_settings(ledger="from-option").ledger == "from-option"
    assert load_settings().policy == "strict"


def test_lists_are_comma_lists_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEND_WATCHDOG_PROVIDERS", "aws, local")
    assert load_settings().providers == ("aws", "local")
    monkeypatch.setenv("SPEND_WATCHDOG_SLACK__TOKEN", "xoxb-secret")
    settings = load_settings()
    assert settings.slack.token is not None
    assert "xoxb-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'policy = "observe"\nledgr = "x"\n',
            "spend-watchdog.toml:2: ledgr: there is no such setting; did you mean ledger?",
        ),
        (
            '[slack]\nchannel = "C1"\ntokn = "x"\n',
            "spend-watchdog.toml:3: slack.tokn: there is no such setting; did you mean token?",
        ),
        (
            'act = "perhaps"\n',
            (
                "spend-watchdog.toml:1: act: input should be a valid boolean,"
                " unable to interpret input"
            ),
        ),
        ("slack = 3\n", "spend-watchdog.toml:1: slack: input should be a valid dictionary"),
        ("ledger = \n", "spend-watchdog.toml: not TOML: Invalid value (at line 1, column 10)"),
    ],
)
def test_a_mistake_in_the_file_names_file_and_line(text: str, message: str) -> None:
    written(text)
    assert refused().startswith(message)


def test_a_misspelt_variable_is_no_silent_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEND_WATCHDOG_POLCY", "strict")
    assert refused() == (
        "SPEND_WATCHDOG_POLCY: there is no such setting; did you mean SPEND_WATCHDOG_POLICY?"
    )


def test_a_wrong_value_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPEND_WATCHDOG_ACT", "perhaps")
    assert refused().startswith("SPEND_WATCHDOG_ACT: input should be a valid boolean")


def test_a_named_file_must_exist() -> None:
    assert refused(Path("no.toml")) == "no.toml: there is no such settings file"


def test_prometheus_is_set_by_its_url_and_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().prometheus.url is None
    written('[prometheus]\nurl = "https://prom.example:9090/path"\njoin_labels = ["node"]\n')
    prometheus = load_settings().prometheus
    assert (prometheus.url, prometheus.join_labels) == (
        "https://prom.example:9090/path",
        ("node",),
    )
    monkeypatch.setenv("SPEND_WATCHDOG_PROMETHEUS__JOIN_LABELS", "vm_id, instance")
    assert load_settings().prometheus.join_labels == ("vm_id", "instance")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('url = "prom:9090"', "url: needs the form http://HOST:PORT or https://HOST:PORT"),
        ('url = "file:///etc/passwd"', "url: needs the form http://HOST:PORT"),
        ('url = "http://prom:x"', "url: port could not be cast"),
        ('url = "http://me:secret@prom"', "url: a name or password in the URL is not supported"),
        ("join_labels = []", "join_labels: needs at least one label, such as instance"),
    ],
)
def test_a_prometheus_that_cannot_be_asked_is_one_clear_line(line: str, message: str) -> None:
    written(f"[prometheus]\n{line}\n")
    told = refused()
    assert told.lower().startswith(f"spend-watchdog.toml:2: prometheus.{message}".lower())
    assert "secret" not in told


def test_relative_paths_in_a_file_start_where_the_file_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("conf").mkdir()
    file = Path("conf") / "watch.toml"
    file.write_text('ledger = "led"\nmapping = "map.yaml"\npolicy = "ours.yaml"\n')
    settings = load_settings(file)
    assert settings.ledger == "conf/led"
    assert settings.mapping == Path("conf/map.yaml")
    assert settings.policy == "conf/ours.yaml"
    monkeypatch.setenv("SPEND_WATCHDOG_MAPPING", "mine.yaml")
    settings = load_settings(file, ledger="led", policy="mine.yaml")
    assert settings.mapping == Path("mine.yaml")
    assert (settings.ledger, settings.policy) == ("led", "mine.yaml")


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ('ledger = "s3://bucket/led"', "ledger", "s3://bucket/led"),
        ('ledger = "file:///var/led"', "ledger", "file:///var/led"),
        ('ledger = "/var/led"', "ledger", "/var/led"),
        ('policy = "strict"', "policy", "strict"),
        ('mapping = "/etc/map.yaml"', "mapping", Path("/etc/map.yaml")),
        ('mapping = "~/map.yaml"', "mapping", Path("/home/ana/map.yaml")),
        ('mapping = "~nobody-here/m"', "mapping", Path("conf/~nobody-here/m")),
    ],
)
def test_what_is_no_relative_path_stays_as_it_is(
    line: str, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ana")
    Path("conf").mkdir()
    file = Path("conf") / "watch.toml"
    file.write_text(line + "\n")
    assert getattr(load_settings(file), name) == value


def test_a_mapping_that_is_no_path_is_one_clear_line() -> None:
    written("mapping = 3\n")
    assert refused().startswith("spend-watchdog.toml:1: mapping: input is not a valid path")


@pytest.mark.parametrize("regions", [("",), ("us-east-1", " "), ()])
def test_an_empty_region_is_refused(regions: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="regions: an empty name is no region: leave it out"):
        load_settings(regions=regions)


def test_the_care_of_the_ledger_is_set_by_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    written('[ledger_care]\nevery = 0\nthin_after = "30d"\n')
    monkeypatch.setenv("SPEND_WATCHDOG_LEDGER_CARE__VACUUM_AFTER", "48h")
    care = load_settings().ledger_care
    assert (care.every, care.thin_after.days, care.vacuum_after.days) == (0, 30, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("every = -1", "every: input should be greater than or equal to 0"),
        ('thin_after = "1d"', "thin_after: input should be greater than or equal to 2 days"),
        ('vacuum_after = "5m"', "vacuum_after: input should be greater than or equal to 1 day"),
        ('vacuum_after = "soon"', "vacuum_after: must be a duration such as 90s, 15m, 6h or 3d"),
        ("thin_after = true", "thin_after: must be a duration such as"),
        ("thin_after = 9999999", "thin_after: must be a duration such as"),
    ],
)
def test_care_that_would_lose_something_is_one_clear_line(line: str, message: str) -> None:
    written(f"[ledger_care]\n{line}\n")
    assert refused().startswith(f"spend-watchdog.toml:2: ledger_care.{message}")


def test_egress_meters_may_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().egress is True
    written("egress = false\n")
    assert load_settings().egress is False
    monkeypatch.setenv("SPEND_WATCHDOG_EGRESS", "true")
    assert load_settings().egress is True


def test_sagemaker_may_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().aws.sagemaker is True
    written("aws.sagemaker = false\n")
    assert load_settings().aws.sagemaker is False
    monkeypatch.setenv("SPEND_WATCHDOG_AWS__SAGEMAKER", "true")
    assert load_settings().aws.sagemaker is True


def test_who_may_press_is_a_comma_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().slack.allowed_users == ()
    monkeypatch.setenv("SPEND_WATCHDOG_SLACK__ALLOWED_USERS", "U0ANA, W0BOB")
    assert load_settings().slack.allowed_users == ("U0ANA", "W0BOB")
    monkeypatch.setenv("SPEND_WATCHDOG_SLACK__ALLOWED_USERS", "U0ANA,bob")
    with pytest.raises(SettingsError, match="'bob' is no member id"):
        load_settings()
