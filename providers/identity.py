"""Which machine this is: the cloud's metadata service says so, or the workstation itself.

The three services answer at one address, so all are asked side by side, each for a second at most.
Proxies are passed by: what they would reach is another machine.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from providers.local.host import ROOT, Host, local_id, this_host

TIMEOUT_S = 1.0
DEADLINE_S = 2.5
"""All questions together; a service that drips its answer is not waited for."""
LINK_LOCAL = "http://169.254.169.254"
MOST_BYTES = 65_536
AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"
"""The chassis tag of every Azure machine; Hyper-V elsewhere carries another."""

Document: TypeAlias = Mapping[str, Any]
Ask: TypeAlias = Callable[[Mapping[str, str]], "Identity | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A machine's place in the world. None: its metadata service does not tell."""

    machine: str
    """`provider:account:region:native-id`, as the provider's own adapter writes it."""
    provider: str
    region: str
    zone: str | None = None
    machine_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unidentified:
    """A machine of a cloud whose metadata service does not answer: it has no name yet."""

    provider: str
    why: str


def whoami(
    environ: Mapping[str, str] = os.environ, *, root: Path = ROOT, host: Host | None = None
) -> Identity | Unidentified:
    """Who this machine is. A cloud's machine is never taken for a workstation."""
    found = _answers(environ)
    for provider in SERVICES:
        if provider in found:
            return found[provider]
    cloud = cloud_of(root)
    if cloud is None:
        return _workstation(host or this_host(root))
    return Unidentified(
        provider=cloud,
        why=f"this is a machine of {cloud}, and its metadata service does not answer: allow it"
        " (in a container: a hop limit of 2, or the host's network), or name the machine",
    )


def cloud_of(root: Path = ROOT) -> str | None:
    """Whose machine the firmware says this is; None: no cloud that is known here."""
    firmware = root / "sys/class/dmi/id"
    vendor = _text(firmware / "sys_vendor")
    if vendor.startswith("Amazon") or _text(root / "sys/hypervisor/uuid").startswith("ec2"):
        return "aws"
    if vendor.startswith("Google"):
        return "gcp"
    if _text(firmware / "chassis_asset_tag") == AZURE_ASSET_TAG:
        return "azure"
    return None


def _workstation(host: Host) -> Identity:
    return Identity(machine=local_id(host), provider="local", region="local")


def _answers(environ: Mapping[str, str]) -> dict[str, Identity]:
    found: dict[str, Identity] = {}

    def ask(provider: str, service: Ask) -> None:
        try:
            identity = service(environ)
        except (OSError, ValueError, http.client.HTTPException, LookupError, TypeError):
            return  # whoever answered there, it was not this service
        if identity is not None:
            found[provider] = identity

    threads = [
        threading.Thread(target=ask, args=each, daemon=True, name=f"metadata-{each[0]}")
        for each in SERVICES.items()
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + DEADLINE_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(found)


def _aws(environ: Mapping[str, str]) -> Identity | None:
    """The instance identity document, by a session token (IMDSv2)."""
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    place = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _aws_default(environ)
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token, _ = _call(place, "/latest/api/token", lifetime, method="PUT")
    path = "/latest/dynamic/instance-identity/document"
    body, _ = _call(place, path, {"X-aws-ec2-metadata-token": token.decode("ascii")})
    told: Document = json.loads(body)
    return _identity(
        "aws",
        told["accountId"],
        told["region"],
        told["instanceId"],
        zone=told.get("availabilityZone"),
        machine_type=told.get("instanceType"),
    )


def _aws_default(environ: Mapping[str, str]) -> str:
    mode = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower()
    return "http://[fd00:ec2::254]" if mode == "ipv6" else LINK_LOCAL


def _gcp(environ: Mapping[str, str]) -> Identity | None:
    host = environ.get("GCE_METADATA_HOST")
    place = f"http://{host}" if host else LINK_LOCAL
    flavour = {"Metadata-Flavor": "Google"}
    body, headers = _call(place, "/computeMetadata/v1/instance/?recursive=true", flavour)
    if headers.get("Metadata-Flavor") != "Google":
        return None
    project, _ = _call(place, "/computeMetadata/v1/project/project-id", flavour)
    told: Document = json.loads(body)
    zone = str(told["zone"]).rsplit("/", 1)[-1]
    return _identity(
        "gcp",
        project.decode("ascii").strip(),
        zone.rsplit("-", 1)[0],
        str(int(told["id"])),
        zone=zone,
        machine_type=str(told.get("machineType", "")).rsplit("/", 1)[-1] or None,
    )


def _azure(environ: Mapping[str, str]) -> Identity | None:
    place = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or LINK_LOCAL
    path = "/metadata/instance/compute?api-version=2021-02-01"
    body, _ = _call(place, path, {"Metadata": "true"})
    told: Document = json.loads(body)
    return _identity(
        "azure",
        told["subscriptionId"],
        told["location"],
        told["vmId"],
        zone=told.get("zone") or None,
        machine_type=told.get("vmSize"),
    )


SERVICES: Mapping[str, Ask] = {"aws": _aws, "gcp": _gcp, "azure": _azure}


def _identity(
    provider: str, account: str, region: str, native: str, *, zone: Any, machine_type: Any
) -> Identity:
    parts = (provider, account, region, native)
    if not all(isinstance(part, str) and part and ":" not in part for part in parts):
        raise ValueError(f"{parts} cannot name a machine")
    return Identity(
        machine=":".join(parts),
        provider=provider,
        region=region,
        zone=zone,
        machine_type=machine_type,
    )


def _call(
    place: str, path: str, headers: Mapping[str, str], *, method: str = "GET"
) -> tuple[bytes, Mapping[str, str]]:
    """Body and headers of an answer 200; anything else raises."""
    parts = urlsplit(place if "//" in place else f"http://{place}")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request(method, parts.path.rstrip("/") + path, headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read(MOST_BYTES)
        if answer.status != http.client.OK:
            raise ValueError(f"{place}{path}: HTTP {answer.status}")
        return body, dict(answer.headers)
    finally:
        connection.close()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
