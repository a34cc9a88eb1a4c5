"""What launchers say of an attempt in its environment: ids, ranks, names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

Environ = Mapping[str, str]

IDS: Mapping[str, str] = {
    "SLURM_JOB_ID": "slurm",
    "MLFLOW_RUN_ID": "mlflow",
    "WANDB_RUN_ID": "wandb",
    "AZUREML_RUN_ID": "azureml",
    "TRAINING_JOB_NAME": "sagemaker",
    "TRAINING_JOB_ARN": "sagemaker",
    "CLOUD_ML_JOB_ID": "vertex",
    "AWS_BATCH_JOB_ID": "aws-batch",
    "RAY_JOB_ID": "ray",
    "SKYPILOT_TASK_ID": "skypilot",
    "DSTACK_RUN_ID": "dstack",
    "LSB_JOBID": "lsf",
    "PBS_JOBID": "pbs",
    "AIRFLOW_CTX_DAG_RUN_ID": "airflow",
    "KFP_RUN_ID": "kubeflow",
    "METAFLOW_RUN_ID": "metaflow",
    "CLEARML_TASK_ID": "clearml",
    "NEPTUNE_CUSTOM_RUN_ID": "neptune",
    "GITHUB_RUN_ID": "github",
    "CI_JOB_ID": "gitlab",
}
"""Variable → the system whose id it holds."""

RANKS = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "RANK")
"""The first that is set and fits says which rank this is."""
LARGEST_STEP = 0xFFFFFFF0 - 1
"""Slurm numbers the batch script and other helpers above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Where this process stands in what a launcher started."""

    aliases: tuple[str, ...] = ()
    """`system:id`."""
    rank: int = 0
    step: str | None = None
    """`job.step` of Slurm, where several ranks are one run; None: this process is one by itself."""
    restarts: int = 0
    nodes: int | None = None
    tasks: int | None = None
    """Ranks in all, as far as they are known to be one run."""
    gpus: int | None = None
    """All nodes together; None: the launcher does not tell."""
    workload: str | None = None
    """The job's name; None: the launcher gives none."""


def launch_of(environ: Environ) -> Launch:
    step = _slurm_step(environ)
    aliases = [f"{system}:{environ[name]}" for name, system in IDS.items() if environ.get(name)]
    if step is not None:
        aliases.append(f"slurm:{step}")
    task = _array_task(environ)
    if task is not None:
        aliases.append(f"slurm:{task}")
    several = step is not None and _tasks(environ) != 1
    nodes = _number(environ, "SLURM_STEP_NUM_NODES") or _number(environ, "SLURM_NNODES")
    return Launch(
        aliases=tuple(dict.fromkeys(each for each in aliases if ";" not in each)),
        rank=_rank(environ),
        step=step if several else None,
        restarts=_number(environ, "SLURM_RESTART_COUNT") or 0,
        nodes=nodes,
        tasks=_tasks(environ) if several else _number(environ, "WORLD_SIZE"),
        gpus=_gpus(environ, nodes) if several else None,
        workload=environ.get("SLURM_JOB_NAME") if "SLURM_JOB_ID" in environ else None,
    )


def workload_of(words: Sequence[str], folder: str) -> str:
    """A name for work that nobody named: the folder and the script, `llama:train.py`."""
    return f"{PurePath(folder).name or 'root'}:{_script(words)}"


def _script(words: Sequence[str]) -> str:
    """What is run: the first script or module among the words, else the program."""
    for place, word in enumerate(words):
        if word == "-m" and place + 1 < len(words):
            return words[place + 1]
        if re.search(r"\.(py|sh|ipynb|R|jl|pl|js)$", word):
            return PurePath(word).name
    return PurePath(words[0]).name


def _rank(environ: Environ) -> int:
    """A batch script is rank 0, though its job may have many tasks."""
    for name in RANKS:
        rank = _number(environ, name)
        if rank is not None and (name != "RANK" or "WORLD_SIZE" in environ):
            return rank
    return 0


def _slurm_step(environ: Environ) -> str | None:
    job, step = environ.get("SLURM_JOB_ID"), _number(environ, "SLURM_STEP_ID")
    if not job or step is None or step > LARGEST_STEP:
        return None
    return f"{job}.{step}"


def _array_task(environ: Environ) -> str | None:
    job, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return f"{job}_{task}" if job and task else None


def _tasks(environ: Environ) -> int | None:
    found = _number(environ, "SLURM_STEP_NUM_TASKS")
    return _number(environ, "SLURM_NTASKS") if found is None else found


def _gpus(environ: Environ, nodes: int | None) -> int | None:
    """Those of the job, by `8` or `a100:8`; else those of this node on each."""
    job = environ.get("SLURM_GPUS", "").rpartition(":")[2]
    if job.isdecimal():
        return int(job)
    here = _number(environ, "SLURM_GPUS_ON_NODE")
    return None if here is None else here * (nodes or 1)


def _number(environ: Environ, name: str) -> int | None:
    text = environ.get(name, "").strip()
    return int(text) if text.isdecimal() else None
