"""What is installed, configured and allowed here, and what to do about what is not."""

from __future__ import annotations

import importlib.metadata
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from providers.base import ChecksItself, ProviderUnavailable
from providers.registry import available, capabilities

if TYPE_CHECKING:
    from watchdog.settings import Settings

OUR_PACKAGES = ("watchdog", "providers", "policies")
DISTRIBUTION = "cloud-spend-watchdog"


class Health(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Works, but something is left out."""
    PROBLEM = "problem"


_HEALTH = {True: Health.OK, False: Health.PROBLEM, None: Health.NOTE}
"""By what a probe says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    what: str
    health: Health
    told: str
    """What was found, and how to mend it. One line."""


def examine(settings: Settings) -> Iterator[Check]:
    """Every check in turn. A check that breaks is a problem and not the end of the others."""
    yield _installation()
    yield from _name_clash()
    yield _ledger(settings)
    yield _policy(settings)
    yield _mapping(settings)
    yield from _providers(settings)
    yield from _prometheus(settings)
    yield _slack(settings)
    yield _heartbeat(settings)


def _installation() -> Check:
    version = importlib.metadata.version(DISTRIBUTION)
    python = ".".join(map(str, sys.version_info[:3]))
    return Check(
        what="installed", health=Health.OK, told=f"{DISTRIBUTION} {version}, Python {python}"
    )


def _name_clash() -> Iterator[Check]:
    """The file-watching library of the same import name would replace our folder unasked."""
    owners = importlib.metadata.packages_distributions()
    foreign = {
        package: sorted(set(owners.get(package, ())) - {DISTRIBUTION}) for package in OUR_PACKAGES
    }
    clashes = {package: names for package, names in foreign.items() if names}
    if not clashes:
        yield Check(what="package names", health=Health.OK, told="no other package claims ours")
    for package, names in clashes.items():
        told = (
            f"{', '.join(names)} installs a package {package} over ours:"
            " install the watchdog in an environment of its own (pipx, uv tool)"
        )
        yield Check(what="package names", health=Health.PROBLEM, told=told)


def _ledger(settings: Settings) -> Check:
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy
    from watchdog.ledger.store import LedgerError  # noqa: PLC0415

    try:
        ledger = open_ledger(settings, read_only=True)
        if not ledger.exists():
            told = f"{ledger.url}: there is nothing yet; the first patrol makes it"
            return Check(what="ledger", health=Health.OK, told=told)
        patrols = ledger.rows("patrols")
    except LedgerError as error:
        return Check(what="ledger", health=Health.PROBLEM, told=str(error))
    times = [at for row in patrols if isinstance(at := row["at"], datetime)]
    seen = "no patrol yet"
    if times:
        patrolled = "1 patrol" if len(times) == 1 else f"{len(times)} patrols"
        seen = f"{patrolled}, the last at {max(times):%Y-%m-%d %H:%M} UTC"
    return Check(what="ledger", health=Health.OK, told=f"{settings.ledger}: {seen}")


def _policy(settings: Settings) -> Check:
    from policies.rules import PolicyError  # noqa: PLC0415
    from watchdog.composition import policy_of  # noqa: PLC0415

    try:
        policy = policy_of(settings)
    except PolicyError as error:
        return Check(what="policy", health=Health.PROBLEM, told=str(error))
    told = f"{policy.origin}: {len(policy.rules)} rules, mode {policy.mode}"
    return Check(what="policy", health=Health.OK, told=told)


def _mapping(settings: Settings) -> Check:
    from watchdog.composition import mapping_of  # noqa: PLC0415
    from watchdog.mapping import MappingError  # noqa: PLC0415

    try:
        mapping = mapping_of(settings)
    except MappingError as error:
        return Check(what="mapping", health=Health.PROBLEM, told=str(error))
    if not mapping.entries:
        told = "no mapping file: machines without tags are attributed by launcher or by name"
        return Check(what="mapping", health=Health.NOTE, told=told)
    told = f"{mapping.origin}: {len(mapping.entries)} entries"
    return Check(what="mapping", health=Health.OK, told=told)


def _providers(settings: Settings) -> Iterator[Check]:
    found = available(settings)
    if not found:
        told = (
            "no cloud has credentials here: `aws configure`, AWS_PROFILE, `az login`,"
            " or `gcloud auth application-default login`"
        )
        yield Check(what="providers", health=Health.PROBLEM, told=told)
    for name, provider in found.items():
        if isinstance(provider, ProviderUnavailable):
            yield Check(what=name, health=Health.PROBLEM, told=str(provider))
        elif isinstance(provider, ChecksItself):
            for probe in provider.probes():
                yield Check(what=f"{name}: {probe.what}", health=_HEALTH[probe.ok], told=probe.told)
    yield from _abilities()


def _abilities() -> Iterator[Check]:
    """What this version can do where: an ability that is lacking is said, not guessed at."""
    by_provider: dict[str, list[str]] = defaultdict(list)
    for ability in capabilities():
        by_provider[ability.provider] += [ability.what] if ability.has else []
    for provider, abilities in by_provider.items():
        told = ", ".join(abilities) or "nothing in this version, or its SDK is not installed"
        yield Check(what=f"{provider} can read", health=Health.NOTE, told=told)


def _prometheus(settings: Settings) -> Iterator[Check]:
    from watchdog.composition import monitoring_of  # noqa: PLC0415

    prometheus = monitoring_of(settings)
    if prometheus is not None:
        probe = prometheus.probe(datetime.now(UTC))
        yield Check(what=f"prometheus: {probe.what}", health=_HEALTH[probe.ok], told=probe.told)


def _slack(settings: Settings) -> Check:
    slack = settings.slack
    if slack.webhook_url is not None:
        told = "webhook set; a webhook can only post, not update or answer"
        return Check(what="Slack", health=Health.NOTE, told=told)
    if slack.token is None:
        told = "not set: alerts go nowhere (SPEND_WATCHDOG_SLACK__TOKEN and …__CHANNEL)"
        return Check(what="Slack", health=Health.NOTE, told=told)
    from watchdog.alerts.slack import check_slack  # noqa: PLC0415 - the SDK is heavy

    ok, told = check_slack(
        token=slack.token.get_secret_value(), channel=slack.channel, api_url=slack.api_url
    )
    if ok:
        told = f"{told}; {_buttons(settings)}"
    return Check(what="Slack", health=Health.OK if ok else Health.PROBLEM, told=told)


def _buttons(settings: Settings) -> str:
    """Whether incidents have buttons, and who may press them."""
    slack = settings.slack
    if not (slack.app_token or slack.signing_secret):
        return "no buttons: neither slack.app_token nor slack.signing_secret is set"
    by = "`listen`" if slack.app_token else "a function URL"
    users = len(slack.allowed_users)
    who = f"{users} may press" if users else "slack.allowed_users is empty, so nobody may stop"
    return f"buttons are answered by {by}; {who}"


def _heartbeat(settings: Settings) -> Check:
    if settings.heartbeat_url is None:
        told = "not set: nobody is told when the watchdog itself falls silent"
        return Check(what="heartbeat", health=Health.NOTE, told=told)
    return Check(what="heartbeat", health=Health.OK, told="each patrol reports to the URL given")
