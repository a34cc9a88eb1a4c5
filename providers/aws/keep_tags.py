"""A keep as a tag on the EC2 instance itself, so that every ledger and person sees it."""

from __future__ import annotations

from datetime import UTC, datetime

from policies.facts import Scope
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.permissions import KEEP_TAG
from providers.aws.session import AwsSession

CREATE = "ec2:CreateTags"
INSTANCE = "i-"


def write_keep(session: AwsSession, machine: str, until: datetime) -> str | None:
    """`machine`: its id. None: the tag stands there now; else why not."""
    _, account, region, native_id = machine.split(":", 3)
    if not native_id.startswith(INSTANCE):
        return f"{native_id} is no EC2 instance: only EC2's bear this tag"
    tag = {"Key": KEEP_TAG, "Value": f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    try:
        session.client("ec2", region).create_tags(Resources=[native_id], Tags=[tag])
    except AWS_ERRORS as error:
        scope = Scope(provider="aws", account=account, region=region)
        return gap_from(error, scope, "keep tag", CREATE).why
    return None
