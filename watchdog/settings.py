"""Settings: one TOML file, environment variables, options last. Every mistake is one clear line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from policies.durations import parse_duration
from providers.prometheus.joining import JOIN_LABELS
from watchdog.settings_paths import beside
from watchdog.toml_lines import line_of

FILE_NAME = "spend-watchdog.toml"
PREFIX = "SPEND_WATCHDOG_"
APPLICATION = "spend-watchdog"


class SettingsError(Exception):
    """A setting is wrong. The message says which one, where it stands and how to mend it."""

    exit_code = 2


def _split(value: object) -> object:
    """A comma list in the environment, a list in the file."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
MaybeNames = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_split)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlackSettings(_Section):
    token: SecretStr | None = None
    channel: str | None = None
    webhook_url: SecretStr | None = None
    api_url: str = "https://slack.com/api/"
    signing_secret: SecretStr | None = None
    """Of the app whose buttons a function URL answers; None: nothing listens there."""
    app_token: SecretStr | None = None
    """`xapp-…`, by which `listen` hears of buttons; None: it cannot run."""
    allowed_users: Names = ()
    """Slack's ids (`U0123ABCD`) of those who may press buttons. Empty: everyone may keep a machine,
    and nobody may stop one.
    """

    @field_validator("allowed_users")
    @classmethod
    def _ids(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for user in value:
            if not re.fullmatch(r"[UW][A-Z0-9]{2,}", user):
                raise ValueError(
                    f"{user!r} is no member id such as U0123ABCD"
                    " (Slack: profile, the three dots, Copy member ID)"
                )
        return value


class AwsSettings(_Section):
    prices_endpoint: str | None = None
    agent_namespaces: tuple[str, ...] = ("CWAgent",)
    """CloudWatch namespaces in which the agent's GPU metrics may lie."""
    sagemaker: bool = True
    """Whether notebooks, Studio apps, jobs, endpoints and warm pools of SageMaker are looked at."""
    stop_role: str | None = Field(default=None, pattern=r"^arn:[\w-]+:iam::\d{12}:role/\S+$")
    """The role that may stop, taken only where there is something to stop; None: the patrol's."""


class AzureSettings(_Section):
    endpoint: str | None = None
    """Where Resource Manager and Resource Graph are asked, and all other services of Azure unless
    an endpoint of their own is set. None: at Azure."""
    metrics_endpoint: str | None = None
    prices_endpoint: str | None = None
    ca_bundle: Path | None = None
    """Certificates to trust in place of the usual ones."""
    subscriptions: MaybeNames = None
    """None: every subscription that the credentials show."""

    @field_validator("endpoint", "metrics_endpoint", "prices_endpoint")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).scheme not in {"http", "https"}:
            raise ValueError("needs the form https://HOST or https://HOST:PORT")
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _is_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no file {value}")
        return value


class GcpSettings(_Section):
    endpoint: str | None = None
    """Where every REST service of GCP is asked, `https://HOST:PORT`; None: Google's own."""
    monitoring_endpoint: str | None = None
    """Where Cloud Monitoring answers gRPC, `HOST:PORT`; None: Google's own."""
    projects: MaybeNames = None
    """None: every project that the credentials show."""

    @field_validator("projects")
    @classmethod
    def _some(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not all(name.strip() for name in value or ("",)):
            raise ValueError("an empty name is no project: leave it out to watch every one")
        return value

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError("needs the form http://HOST:PORT or https://HOST:PORT")
        return value

    @field_validator("monitoring_endpoint")
    @classmethod
    def _has_a_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(f"//{value}")
        if not parts.hostname or not parts.port or parts.path:
            raise ValueError("needs the form HOST:PORT, without a scheme")
        return value


class LocalSettings(_Section):
    """What an hour of this workstation costs. Nobody sends a bill for it, so it is set here."""

    electricity_usd_per_kwh: Decimal | None = Field(default=None, gt=0)
    card_usd: Decimal | None = Field(default=None, gt=0)
    """What one GPU cost; it is spread over `card_years`."""
    card_years: Decimal | None = Field(default=None, gt=0)
    hourly_usd: Decimal | None = Field(default=None, gt=0)
    """The whole hour, in place of the figures above."""

    @model_validator(mode="after")
    def _card_is_whole(self) -> Self:
        if (self.card_usd is None) != (self.card_years is None):
            raise ValueError("card_usd and card_years belong together: set both or neither")
        return self


class PrometheusSettings(_Section):
    url: str | None = None
    """Where Prometheus answers, `http://prometheus:9090`; None: it is not asked."""
    join_labels: Names = JOIN_LABELS
    """Labels that name a machine by id, name or address; the first that fits counts."""

    @field_validator("url")
    @classmethod
    def _can_be_asked(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            raise ValueError("needs the form http://HOST:PORT or https://HOST:PORT")
        if parts.username is not None:
            raise ValueError("a name or password in the URL is not supported")
        return value

    @field_validator("join_labels")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("needs at least one label, such as instance")
        return value


class MlflowSettings(_Section):
    tracking_uri: str | None = None
    """What `runs sync mlflow` reads: a server's URL or a file store. None: MLFLOW_TRACKING_URI."""


class _FileSource(TomlConfigSettingsSource):
    """The settings file, whose relative paths start where it lies."""

    def __call__(self) -> dict[str, Any]:
        file = self.settings_cls.model_config.get("toml_file")
        told = super().__call__()
        return beside(file.parent, told) if isinstance(file, Path) else told


def _duration(value: object) -> object:
    """A bare number would be seconds to some and days to others."""
    return value if isinstance(value, timedelta) else parse_duration(str(value))


LEAST_THIN_AFTER = timedelta(days=2)
"""Patrols read the last day again, interval by interval."""
LEAST_VACUUM_AFTER = timedelta(days=1)
"""A reader or writer that began before must be through."""


class LedgerCareSettings(_Section):
    """Compaction that patrols do by themselves. Runs, events and charges are never thinned."""

    every: int = Field(default=24, ge=0)
    """Patrols from one time to the next; 0: never."""
    thin_after: Annotated[timedelta, BeforeValidator(_duration)] = Field(
        default=timedelta(days=90), ge=LEAST_THIN_AFTER
    )
    """Readings older than this become rows of at most an hour."""
    vacuum_after: Annotated[timedelta, BeforeValidator(_duration)] = Field(
        default=timedelta(days=7), ge=LEAST_VACUUM_AFTER
    )
    """How long a replaced file stays for those who still read it."""


class Settings(BaseSettings):
    """Everything that can be set; a field's name is the key in the file and the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    ledger: str = Field(
        default_factory=lambda: str(platformdirs.user_data_path(APPLICATION) / "ledger")
    )
    policy: str = "observe"
    mapping: Path | None = None
    providers: MaybeNames = None
    regions: MaybeNames = None
    accepted_gaps: Names = ()
    storage: bool = True
    """Whether disks, snapshots, buckets and idle addresses are looked at."""
    egress: bool = True
    """Whether egress meters are read: they take a permission and metric reads of their own."""
    restricted_data_classes: Names = ()
    """Classes of data that must not leave home; `preflight` refuses work on them."""
    commitments: bool = True
    """Whether reservations and savings plans are read; without, none are thought to be there."""
    act: bool = False
    act_from_local_ledger: bool = False
    heartbeat_url: str | None = None
    second_channel_url: str | None = None
    """Gets `{"text": …}` by POST when alerts have not arrived for an hour."""
    slack: SlackSettings = SlackSettings()
    aws: AwsSettings = AwsSettings()
    azure: AzureSettings = AzureSettings()
    gcp: GcpSettings = GcpSettings()
    local: LocalSettings = LocalSettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    mlflow: MlflowSettings = MlflowSettings()
    ledger_care: LedgerCareSettings = LedgerCareSettings()

    @field_validator("regions")
    @classmethod
    def _named(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not all(name.strip() for name in value or ("",)):
            raise ValueError("an empty name is no region: leave it out to watch every one")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options beat the environment, the environment beats the file."""
        file = settings_cls.model_config.get("toml_file")
        return (
            init_settings,
            env_settings,
            _FileSource(settings_cls, file),
        )


def load_settings(config: Path | None = None, **options: object) -> Settings:
    """The settings in force. `config` None: the file of this folder, else that of the platform."""
    path = _file(config)
    _refuse_unknown_variables()
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return _bound_to(path)(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError("\n".join(_told(problem, path) for problem in error.errors())) from None


def default_file() -> Path:
    return platformdirs.user_config_path(APPLICATION) / FILE_NAME


def _file(config: Path | None) -> Path | None:
    if config is not None:
        if not config.is_file():
            raise SettingsError(f"{config}: there is no such settings file")
        return _parsed(config)
    for candidate in (Path(FILE_NAME), default_file()):
        if candidate.is_file():
            return _parsed(candidate)
    return None


def _parsed(path: Path) -> Path:
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    return path


def _bound_to(path: Path | None) -> type[Settings]:
    config = SettingsConfigDict(**{**Settings.model_config, "toml_file": path})
    return type("Settings", (Settings,), {"model_config": config, "__module__": __name__})


def _refuse_unknown_variables() -> None:
    """A misspelt variable must not be a silent default: it may be the one that stops a stop."""
    known = _known_names(Settings)
    for variable in os.environ:
        if not variable.upper().startswith(PREFIX):
            continue
        name = variable.upper().removeprefix(PREFIX)
        if name not in known:
            raise SettingsError(f"{variable}: there is no such setting{_close(name, known)}")


def _known_names(model: type[BaseModel], prefix: str = "") -> dict[str, None]:
    names: dict[str, None] = {}
    for name, info in model.model_fields.items():
        names[f"{prefix}{name.upper()}"] = None
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names |= _known_names(info.annotation, f"{prefix}{name.upper()}__")
    return names


def _close(name: str, known: Mapping[str, None]) -> str:
    match = get_close_matches(name, list(known), n=1)
    return f"; did you mean {PREFIX}{match[0]}?" if match else ""


def _told(problem: Any, path: Path | None) -> str:
    """`FILE:LINE: key: what is wrong`, or `VARIABLE: what is wrong`."""
    keys = [str(part) for part in problem["loc"]]
    what = _wrong(problem, keys)
    variable = _variable(keys)
    if variable is not None:
        return f"{variable}: {what}"
    line = None if path is None else line_of(path.read_text(encoding="utf-8"), keys)
    if line is not None:
        return f"{path}:{line}: {'.'.join(keys)}: {what}"
    return f"{'.'.join(keys)}: {what}"


def _wrong(problem: Any, keys: list[str]) -> str:
    if problem["type"] == "extra_forbidden":
        siblings = {name.rsplit("__", 1)[-1].lower(): None for name in _known_names(Settings)}
        match = get_close_matches(keys[-1], list(siblings), n=1)
        return "there is no such setting" + (f"; did you mean {match[0]}?" if match else "")
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _variable(keys: list[str]) -> str | None:
    """The environment variable that set this key, if one did."""
    for length in range(len(keys), 0, -1):
        name = PREFIX + "__".join(keys[:length]).upper()
        if name in os.environ:
            return name
    return None
