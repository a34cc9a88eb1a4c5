"""What a stop would mean for what SageMaker runs. Nothing here is stopped; people can be told how.

Sentences rest on the SageMaker API reference (StopNotebookInstance, DeleteApp, StopTrainingJob,
StopProcessingJob, UpdateTrainingJob), as botocore carries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from policies.facts import StopTerms
from providers.aws.stopping import protected_by

SAGEMAKER = "SageMaker"
"""It owns the instances: EC2 neither shows nor stops them."""


def with_tags(terms: StopTerms, tags: Mapping[str, str], prepaid: str | None) -> StopTerms:
    return replace(terms, protected=protected_by(tags), prepaid=prepaid)


def of_notebook(name: str) -> StopTerms:
    return StopTerms(
        can_stop=True,
        why="StopNotebookInstance ends the instance and keeps its ML volume, which stays billed",
        loses=("what the notebook instance holds outside /home/ec2-user/SageMaker",),
        controller=SAGEMAKER,
        controller_advice=f"aws sagemaker stop-notebook-instance --notebook-instance-name {name}",
    )


def of_app(raw: Mapping[str, Any]) -> StopTerms:
    """One row of ListApps."""
    space, user = raw.get("SpaceName"), raw.get("UserProfileName")
    kept = f"the volume of space {space}" if space else f"the files of user profile {user}"
    place = f"--space-name {space}" if space else f"--user-profile-name {user}"
    advice = (
        f"aws sagemaker delete-app --domain-id {raw['DomainId']} {place}"
        f" --app-type {raw['AppType']} --app-name {raw['AppName']}"
    )
    return StopTerms(
        can_stop=False,
        why=(
            f"a Studio app can only be deleted: its kernels lose their memory, {kept} stay"
            f"{'s' if space else ''}; an idle time-out of its domain ends it by itself"
        ),
        loses=("the memory of its kernels",),
        controller=SAGEMAKER,
        controller_advice=advice,
    )


def of_training(name: str) -> StopTerms:
    return StopTerms(
        can_stop=False,
        why=(
            "a training job that is stopped has ended for good: StopTrainingJob sends SIGTERM and"
            " leaves 120 s to save a checkpoint, from which only a new job goes on"
        ),
        loses=("what it did since its last checkpoint",),
        controller=SAGEMAKER,
        controller_advice=f"aws sagemaker stop-training-job --training-job-name {name}",
    )


def of_processing(name: str) -> StopTerms:
    return StopTerms(
        can_stop=False,
        why="a processing job that is stopped has ended for good; only a new one begins again",
        loses=("what it has not uploaded yet",),
        controller=SAGEMAKER,
        controller_advice=f"aws sagemaker stop-processing-job --processing-job-name {name}",
    )


def of_endpoint(name: str) -> StopTerms:
    return StopTerms(
        can_stop=False,
        why=(
            f"endpoint {name} cannot be stopped, only deleted; fewer instances, or none where it"
            " serves inference components, cost less"
        ),
        loses=("the service itself",),
        controller=SAGEMAKER,
        controller_advice="lower the least number of instances of its variants",
    )


def of_warm_pool(job: str, keep_alive_s: int | None) -> StopTerms:
    """`keep_alive_s`: how long the pool is kept after the job; None: not told."""
    within = f"after {keep_alive_s} s" if keep_alive_s else "when its keep-alive is over"
    return StopTerms(
        can_stop=False,
        why=f"a warm pool cannot be stopped: it ends {within}, or by a shorter keep-alive",
        controller=SAGEMAKER,
        controller_advice=(
            f"aws sagemaker update-training-job --training-job-name {job}"
            " --resource-config KeepAlivePeriodInSeconds=0"
        ),
    )
