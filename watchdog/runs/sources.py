"""Which source of runs is meant by what a person writes, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from providers.base import ListsRuns, ProviderUnavailable, RunSourceError

if TYPE_CHECKING:
    from watchdog.settings import Settings

FORMS = (
    "mlflow, http(s)://HOST:PORT, slurm, sagemaker, a folder with an MLflow file store, or a file "
    "with what sacct printed"
)
TRACKING_URI = "MLFLOW_TRACKING_URI"


class RunSourceUsageError(RunSourceError):
    """Nothing that runs can be read from: a usage or settings error."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SacctOptions:
    """What a file of `sacct` does not say of itself."""

    time_zone: str | None = None
    """None: UTC."""
    columns: str | None = None
    cluster: str | None = None


def sources_of(
    text: str,
    settings: Settings,
    *,
    environ: Mapping[str, str],
    sacct: SacctOptions,
    progress: Callable[[str], None],
) -> list[ListsRuns]:
    """One, or for a cloud one for each region. Raises `RunSourceError`."""
    match text:
        case "mlflow":
            return [_mlflow(_tracking_uri(settings, environ), environ)]
        case "slurm":
            from providers.slurm.sacct import Sacct  # noqa: PLC0415 - starts a program

            return [Sacct(environ)]
        case "sagemaker":
            return _sagemaker(settings)
    if "://" in text or text.startswith("file:"):
        return [_mlflow(text, environ)]
    path = Path(text)
    if path.is_dir():
        return [_mlflow(text, environ)]
    if not path.exists():
        raise RunSourceUsageError(f"{text}: is no source of runs and no file; there are {FORMS}")
    return [_sacct_file(path, sacct, progress)]


def _mlflow(uri: str, environ: Mapping[str, str]) -> ListsRuns:
    parts = urlsplit(uri)
    if parts.scheme in {"http", "https"} and parts.hostname:
        from providers.mlflow.rest import MlflowApi, login_from  # noqa: PLC0415 - the one needed
        from providers.mlflow.server import MlflowServer  # noqa: PLC0415

        return MlflowServer(MlflowApi(uri, login_from(environ)))
    if parts.scheme not in {"", "file"}:
        raise RunSourceUsageError(
            f"{parts.scheme}://…: is not read; start `mlflow server` on it and name its http:// URL"
        )
    folder = Path(unquote(parts.path)) if parts.scheme == "file" else Path(uri)
    if not folder.is_dir():
        raise RunSourceUsageError(f"{folder}: there is no such folder with an MLflow file store")
    from providers.mlflow.file_store import MlflowFileStore  # noqa: PLC0415 - as above

    return MlflowFileStore(folder)


def _tracking_uri(settings: Settings, environ: Mapping[str, str]) -> str:
    found = settings.mlflow.tracking_uri or environ.get(TRACKING_URI)
    if not found:
        raise RunSourceUsageError(
            "mlflow: nothing says where it is: set mlflow.tracking_uri in the settings or "
            f"{TRACKING_URI}, or name the server or folder in place of mlflow"
        )
    return found


def _sagemaker(settings: Settings) -> list[ListsRuns]:
    try:
        from providers.aws.runs import training_jobs  # noqa: PLC0415 - imports its SDK

        return list(training_jobs(settings.regions))
    except ModuleNotFoundError as error:
        raise RunSourceError(
            f"sagemaker: the SDK of aws is not installed ({error.name}): "
            'pip install "cloud-spend-watchdog[aws]"'
        ) from None
    except ProviderUnavailable as error:
        raise RunSourceError(f"sagemaker: {error}") from None


def _sacct_file(path: Path, options: SacctOptions, progress: Callable[[str], None]) -> ListsRuns:
    from providers.slurm.files import SacctFile  # noqa: PLC0415 - the one that is needed

    return SacctFile(
        path,
        zone=zone_of(options.time_zone),
        columns=options.columns,
        cluster=options.cluster,
        report=progress,
    )


def zone_of(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RunSourceUsageError(
            f"{name}: is no time zone; write one like Europe/Berlin or America/Costa_Rica"
        ) from None
