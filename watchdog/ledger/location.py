"""Where a ledger lies: a folder, or a bucket by its URL; and how what lies there is reached."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from obstore.store import LocalStore, ObjectStore, from_url

from policies.durations import parse_duration
from watchdog.ledger.failures import LedgerError, LedgerUrlError, NothingThereError, told_as

BUCKETS = ("s3", "gs", "az")
FORMS = "a folder, file:///…, s3://bucket/…, gs://bucket/… or az://container/…"

PATIENCE: Mapping[str, str] = MappingProxyType(
    {"connect_timeout": "5s", "timeout": "20s", "max_retries": "3", "retry_timeout": "15s"}
)
"""A silent bucket is given up on within half a minute, unless the storage options say otherwise."""
CLIENT_OPTIONS = frozenset({"connect_timeout", "timeout", "allow_http", "proxy_url"})
RETRY_OPTIONS = frozenset({"max_retries", "retry_timeout"})
ENDPOINTS = ("aws_endpoint_url_s3", "aws_endpoint_url", "aws_endpoint")

UNFIT = re.compile(r"[\[\]^|\\\x00-\x1f]|%[0-9A-Fa-f]{2}")
"""What the Delta library cannot bear in a folder's path (deltalake 1.6.6: it aborts)."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """A ledger's address, and how to reach what lies there."""

    url: str
    folder: Path | None
    """None: it is a bucket."""
    options: Mapping[str, str] = field(default_factory=dict)
    """By lower-case names, as both libraries take them."""
    with_sdk: bool = True
    """Whether the cloud's SDK, where it is installed, is asked for credentials."""

    def table_uri(self, table: str) -> str:
        return f"{self.url}/{table}" if self.folder is None else str(self.folder / table)

    def storage_options(self) -> dict[str, str]:
        """For the Delta library. Credentials that expire are asked for anew each time."""
        if self.folder is not None:
            return {}
        return {**self._told, **self._keys()}

    def is_there(self) -> bool:
        """Only a folder can be looked at before it is asked for anything."""
        if self.folder is None or self.folder.is_dir():
            return True
        if self.folder.exists():
            raise LedgerError(f"ledger {self.url}: this is a file, not a folder: name a folder")
        return False

    def refuse_absent(self) -> None:
        if self.is_there():
            return
        raise NothingThereError(
            f"ledger {self.url}: there is none yet: `spend-watchdog patrol` or `spend-watchdog runs"
            " import` makes it; if there should be one, check the path"
        )

    @cached_property
    def objects(self) -> ObjectStore:
        """The same place as a store of objects."""
        self.refuse_absent()
        with told_as(f"ledger {self.url}"):
            if self.folder is not None:
                return LocalStore(self.folder, mkdir=False)
            return self._bucket(self._told)

    def _bucket(self, told: Mapping[str, str]) -> ObjectStore:
        config: Any = {k: v for k, v in told.items() if k not in CLIENT_OPTIONS | RETRY_OPTIONS}
        client: Any = {k: told[k] for k in CLIENT_OPTIONS & told.keys()}
        return from_url(
            self.url,
            config=config,
            client_options=client,
            retry_config={
                "max_retries": int(told["max_retries"]),
                "retry_timeout": parse_duration(told["retry_timeout"]),
            },
            credential_provider=self._provider,
        )

    @cached_property
    def _told(self) -> dict[str, str]:
        told = {**PATIENCE, **self.options}
        if self._provider is not None:
            region = self._provider.config.get("region")
            told = {"aws_region": region, **told} if region else told
        endpoint = next((v for name in ENDPOINTS if (v := self._setting(name))), "")
        if self.url.startswith("s3:") and endpoint.startswith("http:"):
            told.setdefault("allow_http", "true")
        return told

    @cached_property
    def _provider(self) -> Any:
        """The chain of credentials that the AWS SDK knows: profiles, SSO, roles.

        None where keys are given, or where the SDK is not installed: then both libraries look in
        the environment and ask the machine's own role.
        """
        if not self.url.startswith("s3:") or self._setting("aws_access_key_id"):
            return None
        if not self.with_sdk:
            return None
        if self.options.keys() & {"aws_skip_signature", "skip_signature", "access_key_id"}:
            return None
        try:
            from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415 - an extra
        except ImportError:
            return None
        return self._asked(Boto3CredentialProvider)

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:
            raise LedgerError(
                f"ledger {self.url}: no AWS credentials were found: sign in (`aws sso login`,"
                f" `aws configure`) or set AWS_PROFILE ({error})"
            ) from error

    def _keys(self) -> dict[str, str]:
        if self._provider is None:
            return {}
        found = self._asked(self._provider)
        keys = {
            "aws_access_key_id": found["access_key_id"],
            "aws_secret_access_key": found["secret_access_key"],
            "aws_session_token": found.get("token"),
        }
        return {name: value for name, value in keys.items() if value is not None}

    def _setting(self, name: str) -> str | None:
        return self.options.get(name) or os.environ.get(name.upper())


def located(url: str, options: Mapping[str, str]) -> Location:
    """The location that a URL names. Nothing is asked of it yet."""
    lower = {name.lower(): value for name, value in options.items()}
    scheme = urlsplit(url).scheme if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", url) else ""
    if scheme in {"", "file"}:
        return Location(url=url, folder=_folder(url, scheme), options=lower)
    parts = urlsplit(url)
    if scheme not in BUCKETS:
        raise LedgerUrlError(f"ledger {url}: {scheme}: is not known here; name {FORMS}")
    if not parts.netloc or parts.query or parts.fragment:
        raise LedgerUrlError(f"ledger {url}: this names no bucket; name {FORMS}")
    return Location(url=url.rstrip("/"), folder=None, options=lower)


def _folder(url: str, scheme: str) -> Path:
    path = unquote(urlsplit(url).path) if scheme else url
    if not path or (scheme and urlsplit(url).netloc not in {"", "localhost"}):
        raise LedgerUrlError(f"ledger {url!r}: this names no folder; name {FORMS}")
    folder = Path(path).expanduser().absolute()
    unfit = UNFIT.search(str(folder))
    if unfit:
        raise LedgerUrlError(
            f"ledger {url}: a folder whose path holds {unfit.group()!r} cannot hold a ledger;"
            " choose another"
        )
    return folder
