"""The Lambda handler in AWS's own runtime: its interface emulator, and its client for Python."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TOOLS = "INFRA_TOOLS"
"""Names the folder of programs of an environment that holds aws-sam-cli."""


def tools() -> Path | None:
    told = os.environ.get(TOOLS)
    return Path(told) if told else None


def missing() -> str | None:
    """Why it cannot be run here; None: it can."""
    if tools() is None or _emulator() is None:
        return f"{TOOLS} names no folder of programs beside aws-sam-cli, which has the emulator"
    if find_spec("awslambdaric") is None:
        return "awslambdaric is not installed"
    return None if platform.system() == "Linux" else "the emulator runs on Linux"


def _emulator() -> Path | None:
    folder = tools()
    kind = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())
    if folder is None or kind is None:
        return None
    inside = f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{kind}"
    return next(folder.parent.glob(inside), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    url: str
    log: Path

    def invoke(self, event: Mapping[str, Any]) -> str:
        request = urllib.request.Request(
            self.url, data=json.dumps(event).encode(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return str(answer.read().decode())


@contextmanager
def lambda_function(
    folder: Path, environment: Mapping[str, str], *, timeout_s: int = 60, name: str = "handler"
) -> Iterator[Function]:
    """The function, ready to be invoked; the folder gets its log."""
    invoked_at, runtime_at = _free_ports(2)
    log = folder / "lambda.log"
    command = [
        str(_emulator()),
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{invoked_at}",
        "--runtime-api-address",
        f"127.0.0.1:{runtime_at}",
        sys.executable,
        "-m",
        "awslambdaric",
        f"watchdog.aws_lambda.{name}",
    ]
    root = Path(__file__).resolve().parents[1]
    told = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(root),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
        "AWS_LAMBDA_FUNCTION_NAME": "patrol",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
        **environment,
    }
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, env=told, cwd=folder, stdout=file, stderr=file, process_group=0
        ) as process,
    ):
        try:
            _wait_for(invoked_at)
            path = "2015-03-31/functions/function/invocations"
            yield Function(url=f"http://127.0.0.1:{invoked_at}/{path}", log=log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _wait_for(port: int) -> None:
    """It says nowhere that it is ready."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on {port}")
