"""Which providers there are, how each is built, and what each can do. Read as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from providers.base import Inventory, ProviderUnavailable
from providers.local.prices import LocalWishes

NAMES = ("aws", "gcp", "azure", "local")

EXTRAS = {"local": "gpu"}
"""The extra that brings a provider's SDK, where it has another name."""

ABILITIES = (
    ("machines", "machines"),
    ("metrics", "readings"),
    ("start and stop history", "transitions"),
    ("prices", "price"),
    ("price list", "list_prices"),
    ("spot prices", "spot_prices"),
    ("commitments", "commitments"),
    ("storage", "storage"),
    ("egress", "egress"),
    ("stop", "stop"),
    ("tag keeps", "write_keep"),
)
"""What a provider can do, and the method of `providers.base` that does it."""


class UnknownProviderError(Exception):
    """A provider was asked for that does not exist."""

    exit_code = 2


class AwsWishes(Protocol):
    @property
    def agent_namespaces(self) -> Sequence[str]:
        """CloudWatch namespaces of the agent's GPU metrics."""

    @property
    def prices_endpoint(self) -> str | None:
        """Where the price list is asked; None: where the SDK finds it."""

    @property
    def sagemaker(self) -> bool:
        """Whether what SageMaker runs is looked at."""

    @property
    def stop_role(self) -> str | None:
        """The ARN of the role that may stop; None: the credentials' own."""


class AzureWishes(Protocol):
    @property
    def endpoint(self) -> str | None:
        """Where Azure is asked; None: at its own addresses."""

    @property
    def metrics_endpoint(self) -> str | None:
        """Where metrics are asked; None: where everything else is."""

    @property
    def prices_endpoint(self) -> str | None:
        """Where retail prices are asked; None: where everything else is."""

    @property
    def ca_bundle(self) -> Path | None:
        """Certificates to trust in place of the usual ones."""

    @property
    def subscriptions(self) -> Sequence[str] | None:
        """None: every one that the credentials show."""


class GcpWishes(Protocol):
    @property
    def endpoint(self) -> str | None:
        """Where every REST service is asked; None: at Google's own addresses."""

    @property
    def monitoring_endpoint(self) -> str | None:
        """`host:port` of Cloud Monitoring over gRPC; None: Google's own."""

    @property
    def projects(self) -> Sequence[str] | None:
        """None: every project that the credentials show."""


class Wishes(Protocol):
    """The settings that decide which providers are used and what they look at."""

    @property
    def providers(self) -> Sequence[str] | None:
        """None: every one that is usable here."""

    @property
    def regions(self) -> Sequence[str] | None:
        """None: every region that the credentials show."""

    @property
    def aws(self) -> AwsWishes: ...

    @property
    def azure(self) -> AzureWishes: ...

    @property
    def gcp(self) -> GcpWishes: ...

    @property
    def local(self) -> LocalWishes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    provider: str
    what: str
    has: bool


def available(wishes: Wishes) -> Mapping[str, Inventory | ProviderUnavailable]:
    """The providers to use, by name.

    One that was asked for and cannot be used stands here as the reason; one that nobody asked for
    is left out. Raises `UnknownProviderError` for a name that is no provider's.
    """
    asked = wishes.providers is not None
    names = dict.fromkeys(NAMES if wishes.providers is None else wishes.providers)
    found = {name: _built_or_why(name, wishes) for name in names}
    return {
        name: each
        for name, each in found.items()
        if asked or not isinstance(each, ProviderUnavailable)
    }


def build(name: str, wishes: Wishes) -> Inventory:
    """Raises `ProviderUnavailable` where it cannot be used here."""
    match name:
        case "aws":
            from providers.aws.adapter import AwsProvider  # noqa: PLC0415 - imports its SDK

            return AwsProvider(
                regions=wishes.regions,
                agent_namespaces=wishes.aws.agent_namespaces,
                prices_endpoint=wishes.aws.prices_endpoint,
                sagemaker=wishes.aws.sagemaker,
                stop_role=wishes.aws.stop_role,
            )
        case "azure":
            from providers.azure.adapter import AzureProvider  # noqa: PLC0415 - imports its SDK

            return AzureProvider.at(wishes.azure, regions=wishes.regions)
        case "local":
            from providers.local.adapter import LocalProvider  # noqa: PLC0415 - as the others

            return LocalProvider.here(wishes.local)
        case "gcp":
            from providers.gcp.adapter import GcpProvider  # noqa: PLC0415 - as the others

            return GcpProvider(
                regions=wishes.regions,
                projects=wishes.gcp.projects,
                endpoint=wishes.gcp.endpoint,
                monitoring_endpoint=wishes.gcp.monitoring_endpoint,
            )
        case _:
            raise UnknownProviderError(_no_such(name))


def capabilities() -> tuple[Ability, ...]:
    """What each provider can do, without asking the outside world."""
    return tuple(
        Ability(provider=name, what=what, has=hasattr(adapter, method))
        for name in NAMES
        for adapter in (_adapter(name),)
        for what, method in ABILITIES
    )


def _adapter(name: str) -> type[Inventory] | None:
    """The class behind a name; None where its SDK is not installed."""
    try:
        return _adapter_class(name)
    except ModuleNotFoundError:
        return None


def _adapter_class(name: str) -> type[Inventory] | None:
    match name:
        case "aws":
            from providers.aws.adapter import AwsProvider  # noqa: PLC0415 - imports its SDK

            return AwsProvider
        case "azure":
            from providers.azure.adapter import AzureProvider  # noqa: PLC0415 - imports its SDK

            return AzureProvider
        case "gcp":
            from providers.gcp.adapter import GcpProvider  # noqa: PLC0415 - imports its SDK

            return GcpProvider
        case _:
            from providers.local import adapter, nvml  # noqa: PLC0415 - as the others

            return adapter.LocalProvider if nvml.installed() else None


def _built_or_why(name: str, wishes: Wishes) -> Inventory | ProviderUnavailable:
    try:
        return build(name, wishes)
    except ProviderUnavailable as why:
        return why
    except ModuleNotFoundError as error:
        return ProviderUnavailable(
            f"the SDK of {name} is not installed ({error.name}): "
            f'pip install "cloud-spend-watchdog[{EXTRAS.get(name, name)}]"'
        )


def _no_such(name: str) -> str:
    close = get_close_matches(name, NAMES, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(NAMES)}"
    return f"there is no provider {name!r}; {hint}"
