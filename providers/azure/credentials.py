"""Whether there are credentials for Azure here, without asking anyone, and which to try."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from azure.core.credentials import TokenCredential
from azure.identity import DefaultAzureCredential

from providers.base import ProviderUnavailable
from providers.identity import cloud_of

SECRETS = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_PASSWORD",
)
IDENTITY_SERVICES = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
"""Set where a managed identity is given out: App Service, Container Apps, Functions, AKS, Arc."""
LOGINS = (
    ("az", "AZURE_CONFIG_DIR", ".azure", "azureProfile.json"),
    ("azd", "AZD_CONFIG_DIR", ".azd", "auth"),
    ("pwsh", "AZURE_CONFIG_DIR", ".Azure", "AzureRmContext.json"),
)
"""A tool that people sign in with, the variable and folder of its settings, the file of logins."""


def open_credentials(*, ca_bundle: str | None) -> TokenCredential:
    """The chain that the SDKs share. Raises `ProviderUnavailable` where nothing in it could work.

    Only what this machine shows signs of is tried: on no machine of Azure nobody waits for the
    metadata service.
    """
    found = signs()
    if not found:
        raise ProviderUnavailable(
            "no Azure credentials were found: run `az login`, give the machine a managed identity,"
            " or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
        )
    options: dict[str, object] = {"connection_verify": ca_bundle} if ca_bundle else {}
    return DefaultAzureCredential(
        exclude_managed_identity_credential="identity" not in found,
        exclude_cli_credential="az" not in found,
        exclude_developer_cli_credential="azd" not in found,
        exclude_powershell_credential="pwsh" not in found,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_broker_credential=True,
        **options,
    )


def signs(environ: Mapping[str, str] = os.environ, *, root: Path = Path("/")) -> frozenset[str]:
    """What here promises credentials: `environment`, `identity`, or a tool that was signed in."""
    found = {
        tool
        for tool, variable, folder, file in LOGINS
        if _signed_in(environ, variable, folder, file) and shutil.which(tool, path=_path(environ))
    }
    if environ.get("AZURE_CLIENT_ID") and any(environ.get(name) for name in SECRETS):
        found.add("environment")
    if any(environ.get(name) for name in IDENTITY_SERVICES) or cloud_of(root) == "azure":
        found.add("identity")
    return frozenset(found)


def _signed_in(environ: Mapping[str, str], variable: str, folder: str, file: str) -> bool:
    given = environ.get(variable)
    home = Path(given) if given else Path(environ.get("HOME") or Path.home()) / folder
    return (home / file).exists()


def _path(environ: Mapping[str, str]) -> str:
    return environ.get("PATH") or os.defpath
