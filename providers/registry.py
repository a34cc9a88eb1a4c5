"""Which providers there are, how each is built, and what each can do. Read as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
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
        case "local":
            from providers.local.adapter import LocalProvider  # noqa: PLC0415 - as the others

            return LocalProvider.here(wishes.local)
        case "gcp" | "azure":
            raise ProviderUnavailable(f"{name} is not in this version")
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
    """The class behind a name; None where it is not installed or not in this version."""
    match name:
        case "aws":
            try:
                from providers.aws.adapter import AwsProvider  # noqa: PLC0415 - imports its SDK
            except ModuleNotFoundError:
                return None
            return AwsProvider
        case "local":
            from providers.local import adapter, nvml  # noqa: PLC0415 - as the others

            return adapter.LocalProvider if nvml.installed() else None
        case _:
            return None


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
