"""A run as MLflow tells it, server or file store alike, as a `Run`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import PurePosixPath, PureWindowsPath

from policies.facts import Run, RunCause, RunOutcome, WorkloadKind
from providers.base import KnownRun
from providers.fingerprint import fingerprint

PREFIX = "mlflow:"

STATUSES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
"""A file store writes the number (RunStatus in MLflow's service.proto), a server the word."""
OUTCOMES: Mapping[str, tuple[RunOutcome, RunCause | None]] = {
    "RUNNING": (RunOutcome.RUNNING, None),
    "FINISHED": (RunOutcome.SUCCEEDED, None),
    "FAILED": (RunOutcome.FAILED, RunCause.ERROR),
    "KILLED": (RunOutcome.CANCELLED, RunCause.USER),
}
"""A deleted run was an attempt too: it keeps its outcome. SCHEDULED is no attempt yet."""

GPU_METRIC = re.compile(
    r"system/(?:.+/)?gpu_\d+_(?P<what>utilization_percentage|memory_usage_megabytes)"
)
"""What MLflow's system metrics call a GPU; with several nodes each has a folder of its own."""
MIB_PER_MB = 1_000_000 / 2**20
SYSTEM = "system/"

RESULTS = (
    *("val_loss", "validation_loss", "eval_loss", "val_accuracy", "validation_accuracy"),
    *("eval_accuracy", "val_acc", "test_loss", "test_accuracy", "loss", "accuracy"),
)
"""The result that is judged: the first of these that was logged, else the only metric there is."""

OURS = ("spend-watchdog:", "spend-watchdog.", "spend-watchdog-")
"""How tags for the watchdog begin; not every store takes colons."""
LAUNCHERS = {
    "slurm_job_id": "slurm",
    "slurm.job_id": "slurm",
    "wandb_run_id": "wandb",
    "azureml_run_id": "azureml",
    "training_job_name": "sagemaker",
    "training_job_arn": "sagemaker",
    "aws_batch_job_id": "aws-batch",
    "ray_job_id": "ray",
    "skypilot_task_id": "skypilot",
}
"""Tags or parameters, in any case, that hold the id of the same attempt in another system."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
KERNELS = frozenset({"ipykernel_launcher.py", "colab_kernel_launcher.py"})
NESTED = " (nested)"

History = Callable[[str], Sequence[float]]
"""By a metric's key, all its values."""


class UnreadableRunError(ValueError):
    """A field of a run that cannot be understood."""

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(why)
        self.field = field_name


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """What a store holds of one run."""

    run_id: str
    experiment: str | None
    """The experiment's name."""
    status: str
    start_ms: object
    end_ms: object
    user: str | None = None
    source_name: str | None = None
    source_version: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each."""
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    """`name@digest` of each logged input."""


def run_of(told: TrackedRun, history: History, known: KnownRun | None = None) -> Run | None:
    """The attempt; None where it has not begun. Raises `UnreadableRunError`.

    The history of GPU metrics is asked for where there are some, and not once more for a run that
    has ended as it is `known`.
    """
    status = STATUSES.get(told.status, told.status)
    if status == "SCHEDULED":
        return None
    outcome, cause = OUTCOMES.get(status, (RunOutcome.UNKNOWN, None))
    running = outcome is RunOutcome.RUNNING
    ended_at = None if running else _moment("end_time", told.end_ms)
    started_at = _moment("start_time", told.start_ms)
    if started_at is None:
        raise UnreadableRunError("start_time", "missing; nobody knows when the run began")
    figures = _known_figures(told, ended_at, known) or _figures(told, history)
    metric = _result(told.metrics)
    return Run(
        run_id=f"{PREFIX}{told.run_id}",
        workload=_workload(told),
        started_at=started_at,
        outcome=outcome,
        ended_at=ended_at,
        group=_ours(told, "group") or told.experiment,
        owner=_ours(told, "owner") or told.tags.get("mlflow.user") or told.user or None,
        kind=_kind(told),
        cause=cause,
        machine_id=_ours(told, "machine"),
        gpus=figures.gpus,
        peak_gpu_memory_mib=figures.peak_memory_mib,
        gpu_utilisation_mean_pct=figures.utilisation_mean_pct,
        code=_code(told),
        image=_image(told.tags),
        data=fingerprint("datasets", sorted(told.datasets)) if told.datasets else None,
        data_class=_ours(told, "data-class"),
        config=fingerprint("params", dict(told.params)) if told.params else None,
        metric_name=metric,
        metric_value=None if metric is None else told.metrics[metric],
        source="mlflow",
        aliases=";".join(dict.fromkeys((f"{PREFIX}{told.run_id}", *_other_ids(told)))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the system metrics tell of the GPUs that the process could see."""

    gpus: int | None = None
    peak_memory_mib: float | None = None
    utilisation_mean_pct: float | None = None


def _known_figures(
    told: TrackedRun, ended_at: datetime | None, known: KnownRun | None
) -> Figures | None:
    if known is None or known.running or ended_at is None or known.ended_at != ended_at:
        return None
    if known.gpus != _figures(told, lambda _: ()).gpus:
        return None
    return Figures(
        gpus=known.gpus,
        peak_memory_mib=known.peak_gpu_memory_mib,
        utilisation_mean_pct=known.gpu_utilisation_mean_pct,
    )


def _figures(told: TrackedRun, history: History) -> Figures:
    """The mean of each GPU's mean, and the most that one GPU held."""
    keys = {key: match["what"] for key in told.metrics if (match := GPU_METRIC.fullmatch(key))}
    if not keys:
        return Figures()
    use = [_finite(history(key)) for key, what in keys.items() if what.startswith("utilization")]
    held = [_finite(history(key)) for key, what in keys.items() if what.startswith("memory")]
    means = [sum(values) / len(values) for values in use if values]
    peaks = [max(values) for values in held if values]
    return Figures(
        gpus=max(len(use), len(held)),
        peak_memory_mib=max(peaks) * MIB_PER_MB if peaks else None,
        utilisation_mean_pct=min(sum(means) / len(means), 100.0) if means else None,
    )


def _finite(values: Sequence[float]) -> list[float]:
    return [value for value in values if isfinite(value)]


def _workload(told: TrackedRun) -> str:
    """The script, else the experiment. A child of another run is work of its own: counted with its
    parent, one attempt would be two.
    """
    named = _ours(told, "workload")
    if named:
        return named
    script = None if _is_notebook(told) else _script(told)
    own = script or told.experiment or told.tags.get("mlflow.runName") or "unnamed"
    return own + NESTED if told.tags.get("mlflow.parentRunId") else own


def _script(told: TrackedRun) -> str | None:
    entry = told.tags.get("mlflow.project.entryPoint")
    source = told.tags.get("mlflow.source.name") or told.source_name
    if not source:
        return entry
    name = PureWindowsPath(source).name if "\\" in source else PurePosixPath(source).name
    return f"{name}:{entry}" if entry and name else name or entry


def _is_notebook(told: TrackedRun) -> bool:
    return told.tags.get("mlflow.source.type") == "NOTEBOOK" or (_script(told) or "") in KERNELS


def _kind(told: TrackedRun) -> WorkloadKind:
    named = _ours(told, "kind")
    if named in set(WorkloadKind):
        return WorkloadKind(named)
    return WorkloadKind.NOTEBOOK if _is_notebook(told) else WorkloadKind.UNKNOWN


def _ours(told: TrackedRun, name: str) -> str | None:
    found = (told.tags.get(f"{prefix}{name}") for prefix in OURS)
    return next((value for value in found if value), None)


def _code(told: TrackedRun) -> str | None:
    commit = told.tags.get("mlflow.source.git.commit") or told.source_version
    return f"git:{commit}" if commit else None


def _image(tags: Mapping[str, str]) -> str | None:
    told = f"{tags.get('mlflow.docker.image.uri', '')} {tags.get('mlflow.docker.image.id', '')}"
    found = DIGEST.search(told)
    return found[0] if found else None


def _result(metrics: Mapping[str, float]) -> str | None:
    finite = [name for name, value in metrics.items() if isfinite(value)]
    known = next((name for name in RESULTS if name in finite), None)
    own = [name for name in finite if not name.startswith(SYSTEM)]
    return known or (own[0] if len(own) == 1 else None)


def _other_ids(told: TrackedRun) -> list[str]:
    found = []
    for name, value in {**told.params, **told.tags}.items():
        system = LAUNCHERS.get(name.lower())
        if system and value and ";" not in value:
            found.append(f"{system}:{value}")
    return found


def _moment(name: str, told: object) -> datetime | None:
    """Milliseconds since 1970; None, 0, negative and `null` are how stores say that none is
    known.
    """
    if told in (None, "", "null", "None"):
        return None
    try:
        ms = int(str(told))
        return None if ms <= 0 else datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise UnreadableRunError(name, f"{told!r} is not a time in milliseconds") from None
