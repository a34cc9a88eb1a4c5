"""The composition root: the one place where settings become real objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from policies.facts import Gap
from policies.grids import DEFAULT_LIMITS
from policies.pack_names import PACKS
from policies.rules import Policy, PolicyError, load_policy, pack_text
from providers.base import Inventory, ProviderUnavailable, WritesKeeps
from providers.registry import available
from watchdog.ledger.tidying import LedgerCare
from watchdog.mapping import NO_MAPPING, MappingError, WorkloadMapping, load_mapping
from watchdog.patrol import Parts

if TYPE_CHECKING:
    from datetime import datetime

    from providers.prometheus.usage import PrometheusUsage
    from watchdog.actions import Acting
    from watchdog.alerts.delivery import Notifier
    from watchdog.alerts.incident_news import IncidentChannel
    from watchdog.answering import Answering
    from watchdog.gather import Progress
    from watchdog.keeps import KeepWriter
    from watchdog.ledger.store import Ledger
    from watchdog.orders import Order, Ordered
    from watchdog.settings import Settings


def open_ledger(settings: Settings, *, read_only: bool = False) -> Ledger:
    from watchdog.ledger.store import Ledger  # noqa: PLC0415 - heavy, and not for --help

    return Ledger.open(settings.ledger, read_only=read_only)


def care_of(settings: Settings) -> LedgerCare:
    told = settings.ledger_care
    return LedgerCare(every=told.every, thin_after=told.thin_after, vacuum_after=told.vacuum_after)


def policy_of(settings: Settings) -> Policy:
    return policy_named(settings.policy)


def policy_named(name: str) -> Policy:
    """A pack's name or a file's path."""
    text, origin = policy_text(name)
    return load_policy(text, origin)


def policy_text(name: str) -> tuple[str, str]:
    """What stands in a pack or a file, and what to call that in errors."""
    if name in PACKS:
        return pack_text(name)
    path = Path(name)
    if not path.is_file():
        close = get_close_matches(name, PACKS, n=1)
        meant = f"; did you mean the pack {close[0]}?" if close else ""
        raise PolicyError(
            f"{name}: there is no such policy file, and no pack of that name"
            f" (packs: {', '.join(PACKS)}){meant}"
        )
    return _text(path, PolicyError), name


def mapping_of(settings: Settings) -> WorkloadMapping:
    if settings.mapping is None:
        return NO_MAPPING
    if not settings.mapping.is_file():
        raise MappingError(f"{settings.mapping}: there is no such mapping file")
    return load_mapping(_text(settings.mapping, MappingError), origin=str(settings.mapping))


def notifiers_of(settings: Settings) -> list[Notifier]:
    from watchdog.alerts.slack import notifiers_from  # noqa: PLC0415 - the SDK is heavy

    slack = settings.slack
    return list(
        notifiers_from(
            token=slack.token.get_secret_value() if slack.token else None,
            channel=slack.channel,
            webhook_url=slack.webhook_url.get_secret_value() if slack.webhook_url else None,
            api_url=slack.api_url,
        )
    )


def providers_of(settings: Settings) -> tuple[list[Inventory], list[Gap]]:
    """The providers that can be used, and a gap for each that was asked for and cannot."""
    found = available(settings)
    usable = [each for each in found.values() if not isinstance(each, ProviderUnavailable)]
    unavailable = [
        Gap(provider=name, what="provider", why=str(each))
        for name, each in found.items()
        if isinstance(each, ProviderUnavailable)
    ]
    return usable, unavailable or ([] if usable else [_nothing_to_watch()])


def monitoring_of(settings: Settings) -> PrometheusUsage | None:
    """Prometheus, where one is set; whether it answers shows when it is asked."""
    prometheus = settings.prometheus
    if prometheus.url is None:
        return None
    from providers.prometheus.usage import PrometheusUsage  # noqa: PLC0415 - imports numpy

    return PrometheusUsage(prometheus.url, join_labels=prometheus.join_labels)


def parts_of(settings: Settings, *, alerts: bool, progress: Progress, act: bool = False) -> Parts:
    """Everything a patrol needs."""
    policy, mapping = policy_of(settings), mapping_of(settings)
    usable, unavailable = providers_of(settings)
    return Parts(
        providers=usable,
        monitoring=monitoring_of(settings),
        unavailable=unavailable,
        policy=policy,
        limits=replace(DEFAULT_LIMITS, setup=policy.setup_limit),
        mapping=mapping,
        ledger=open_ledger(settings),
        notifiers=notifiers_of(settings) if alerts else (),
        accepted_gaps=settings.accepted_gaps,
        care=care_of(settings),
        egress=settings.egress,
        version=version("cloud-spend-watchdog"),
        progress=progress,
        storage=settings.storage,
        acting=acting_of(settings, policy, usable) if act else None,
        commitments=settings.commitments,
    )


def incident_channels_of(settings: Settings) -> tuple[IncidentChannel, ...]:
    """The channels that show incidents; with buttons where something answers them."""
    from watchdog.alerts.slack import incident_channels_from  # noqa: PLC0415 - the SDK is heavy

    slack = settings.slack
    return incident_channels_from(
        token=slack.token.get_secret_value() if slack.token else None,
        channel=slack.channel,
        webhook_url=slack.webhook_url.get_secret_value() if slack.webhook_url else None,
        api_url=slack.api_url,
        buttons=bool(slack.app_token or slack.signing_secret),
    )


def answering_of(settings: Settings) -> Answering:
    """What answers presses of buttons. Raises where Slack is not set up for it."""
    from watchdog.actions import Acting  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.alerts.slack_replies import SlackReplies  # noqa: PLC0415
    from watchdog.alerts.slack_settings import api_base, token_of  # noqa: PLC0415
    from watchdog.answering import Answering  # noqa: PLC0415
    from watchdog.orders import carried_out  # noqa: PLC0415
    from watchdog.settings import SettingsError  # noqa: PLC0415

    if settings.slack.token is None:
        raise SettingsError(
            "slack.token: not set, and only the bot itself can update its messages"
            " (SPEND_WATCHDOG_SLACK__TOKEN)"
        )
    token = token_of(settings.slack.token.get_secret_value())
    channels = incident_channels_of(settings)

    def order(given: Order, now: datetime) -> Ordered:
        parts = parts_for_order(settings, given.machine, lambda _: None)
        return carried_out(parts, Acting(channels=channels), given, now=now)

    return Answering(
        ledger=open_ledger(settings),
        replies=SlackReplies(token, api_base(settings.slack.api_url)),
        order=order,
        write_keep=keep_writer_of(settings),
        allowed=settings.slack.allowed_users,
    )


def keep_writer_of(settings: Settings) -> KeepWriter:
    """Writes keeps onto machines, with the credentials that are here."""

    def write(machine: str, until: datetime) -> str | None:
        name = machine.split(":", 1)[0]
        provider = available(_only(settings, machine))[name]
        if isinstance(provider, ProviderUnavailable):
            return str(provider)
        if not isinstance(provider, WritesKeeps):
            return f"this version writes no tags on {name}"
        return provider.write_keep(machine, until)

    return write


def parts_for_order(settings: Settings, machine: str, progress: Progress) -> Parts:
    """What it takes to look at one machine, by its id, and at nothing farther than its region."""
    return parts_of(_only(settings, machine), alerts=False, progress=progress)


def _only(settings: Settings, machine: str) -> Settings:
    """The same, for the provider and the region of one machine alone."""
    provider, _, region, *_ = machine.split(":")
    return settings.model_copy(update={"providers": (provider,), "regions": (region,)})


def acting_of(settings: Settings, policy: Policy, providers: Sequence[Inventory]) -> Acting | None:
    """What it takes to act; None where the policy only observes. Raises where it must not."""
    from watchdog.actions import Acting  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.settings import SettingsError  # noqa: PLC0415

    if policy.mode != "act":
        return None
    channels = incident_channels_of(settings)
    if not channels:
        raise SettingsError(
            "--act needs a channel that people read: set slack.token and slack.channel,"
            " or slack.webhook_url"
        )
    clouds = [each.name for each in providers if each.name != "local"]
    if clouds and "://" not in settings.ledger and not settings.act_from_local_ledger:
        raise SettingsError(
            f"--act on {', '.join(clouds)} from a ledger in a local folder is refused, since"
            " nobody else's keeps are seen there: use a bucket, or set act_from_local_ledger"
        )
    return Acting(channels=channels)


def _nothing_to_watch() -> Gap:
    why = (
        "no cloud is configured here: sign in (`aws configure` or AWS_PROFILE, `az login`,"
        " `gcloud auth application-default login`), or name what to watch with --provider;"
        " `spend-watchdog doctor` says what is missing"
    )
    return Gap(provider="none", what="providers", why=why)


def _text(path: Path, error: type[Exception]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise error(f"{path}: cannot be read: {problem}") from None
