"""A real MLflow tracking server on a free port, in an environment of its own.

`MLFLOW_PYTHON` names its interpreter: MLflow brings hundreds of megabytes that the project does not
need. `.ci/run` makes it.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

VARIABLE = "MLFLOW_PYTHON"


def interpreter() -> str:
    python = os.environ.get(VARIABLE, "")
    if not Path(python).is_file():
        pytest.skip(
            f"needs an MLflow: python3 -m venv V; V/bin/pip install mlflow; {VARIABLE}=V/bin/python"
        )
    return python


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """In a process group of its own: the server starts children that must end with it."""
    port = _free_port()
    command = [interpreter(), "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "MLFLOW_DISABLE_TELEMETRY": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, env=env, cwd=folder, stdout=log, stderr=log, process_group=0
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(f"{url}/health", server)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


class Mlflow:
    """Sets the stage over the same REST API."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/2.0/mlflow"

    def post(self, path: str, **body: object) -> Any:
        request = Request(self._url + path, data=json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def experiment(self, name: str) -> str:
        return str(self.post("/experiments/create", name=name)["experiment_id"])

    def start(self, experiment: str, started_ms: int, **tags: str) -> str:
        told = [{"key": name.replace("__", "."), "value": value} for name, value in tags.items()]
        run = self.post("/runs/create", experiment_id=experiment, start_time=started_ms, tags=told)
        return str(run["run"]["info"]["run_id"])

    def end(self, run_id: str, status: str, ended_ms: int | None) -> None:
        told = {} if ended_ms is None else {"end_time": ended_ms}
        self.post("/runs/update", run_id=run_id, status=status, **told)

    def log(
        self,
        run_id: str,
        *,
        params: dict[str, str] | None = None,
        metrics: list[tuple[str, float, int]] | None = None,
    ) -> None:
        """Metrics: key, value, milliseconds."""
        self.post(
            "/runs/log-batch",
            run_id=run_id,
            params=[{"key": key, "value": value} for key, value in (params or {}).items()],
            metrics=[
                {"key": key, "value": value, "timestamp": at_ms, "step": step}
                for step, (key, value, at_ms) in enumerate(metrics or [])
            ],
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_healthy(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("MLflow did not become ready")
