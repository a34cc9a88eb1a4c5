"""Clouds' metadata services on loopback, each as small as what is asked of it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOBODY = "127.0.0.1:9"
SILENT: Mapping[str, str] = {
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{NOBODY}",
    "GCE_METADATA_HOST": NOBODY,
    "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{NOBODY}",
}
"""An environment in which no service answers, wherever the tests run."""

AWS_DOCUMENT = {
    "accountId": "123456789012",
    "region": "us-east-1",
    "availabilityZone": "us-east-1a",
    "instanceId": "i-trainer-1",
    "instanceType": "p4d.24xlarge",
}
AWS_ROLE = {
    "Code": "Success",
    "Type": "AWS-HMAC",
    "LastUpdated": "2026-11-23T08:00:00Z",
    "AccessKeyId": "ASIATESTING",
    "SecretAccessKey": "testing",
    "Token": "session",
    "Expiration": "2099-11-23T08:00:00Z",
}
GCP_INSTANCE = {
    "id": 4520031799277581759,
    "zone": "projects/987654321/zones/us-central1-a",
    "machineType": "projects/987654321/machineTypes/a2-highgpu-1g",
}
AZURE_COMPUTE = {
    "subscriptionId": "8a1c0f2e-1111-2222-3333-444455556666",
    "location": "westeurope",
    "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
    "vmSize": "Standard_NC24ads_A100_v4",
    "zone": "",
}


@dataclass
class Service:
    """What it answers may be changed by a test; what it was asked is kept."""

    cloud: str
    place: str = ""
    document: Any = None
    delay_s: float = 0.0
    status: int = 200
    asked: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Points the agent's questions here, and those to other clouds at nobody."""
        told = {
            "aws": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{self.place}/"},
            "gcp": {"GCE_METADATA_HOST": self.place},
            "azure": {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{self.place}"},
        }
        return {**SILENT, **told[self.cloud]}

    def answer(self, method: str, path: str, headers: Message) -> tuple[int, str]:
        self.asked.append(f"{method} {path}")
        time.sleep(self.delay_s)
        if self.status != 200:
            return self.status, "no"
        match self.cloud:
            case "aws":
                return self._aws(method, path, headers)
            case "gcp":
                return self._gcp(path, headers)
            case _:
                return self._azure(path, headers)

    def _aws(self, method: str, path: str, headers: Message) -> tuple[int, str]:
        if (method, path) == ("PUT", "/latest/api/token"):
            wanted = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            return (200, "TOKEN==") if wanted.isdigit() else (400, "")
        if headers.get("X-aws-ec2-metadata-token") != "TOKEN==":
            return 401, ""
        roles = "/latest/meta-data/iam/security-credentials/"
        answers = {
            "/latest/dynamic/instance-identity/document": self._text(AWS_DOCUMENT),
            roles: "gpu-machine",
            f"{roles}gpu-machine": json.dumps(AWS_ROLE),
        }
        return (200, answers[path]) if path in answers else (404, "")

    def _gcp(self, path: str, headers: Message) -> tuple[int, str]:
        if headers.get("Metadata-Flavor") != "Google":
            return 403, ""
        if path == "/computeMetadata/v1/project/project-id":
            return 200, "my-project"
        known = path == "/computeMetadata/v1/instance/?recursive=true"
        return (200, self._text(GCP_INSTANCE)) if known else (404, "")

    def _azure(self, path: str, headers: Message) -> tuple[int, str]:
        if headers.get("Metadata") != "true" or "X-Forwarded-For" in headers:
            return 400, ""
        known = path.startswith("/metadata/instance/compute?api-version=")
        return (200, self._text(AZURE_COMPUTE)) if known else (404, "")

    def _text(self, usual: object) -> str:
        told = usual if self.document is None else self.document
        return told if isinstance(told, str) else json.dumps(told)


@contextmanager
def serving(cloud: str) -> Iterator[Service]:
    service = Service(cloud)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the server's name for it
            status, text = service.answer(self.command, self.path, self.headers)
            self.send_response(status)
            if service.cloud == "gcp":
                self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_GET  # noqa: N815 - likewise

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service.place = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
