"""A real Prometheus on a free port, with a past that promtool wrote."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

Samples = Iterable[tuple[float, float]]
"""Unix seconds and values, oldest first."""
History = Mapping[str, list[tuple[Mapping[str, str], Samples]]]
"""By metric, its series."""


@contextmanager
def prometheus(folder: Path, history: History) -> Iterator[str]:
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        pytest.skip("needs the programs prometheus and promtool (Debian package: prometheus)")
    _write(folder, history)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    place = f"127.0.0.1:{_free_port()}"
    command = [
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={place}",
        "--storage.tsdb.retention.time=3650d",
        "--log.level=warn",
    ]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_ready(f"http://{place}/-/ready", server)
        yield f"http://{place}"
    finally:
        server.terminate()
        server.wait(20)


def _write(folder: Path, history: History) -> None:
    lines = []
    for metric, series in history.items():
        lines.append(f"# TYPE {metric} gauge")
        for labels, samples in series:
            told = ",".join(f'{name}="{value}"' for name, value in labels.items())
            lines.extend(f"{metric}{{{told}}} {value} {at}" for at, value in samples)
    (folder / "history.om").write_text("\n".join([*lines, "# EOF\n"]))
    subprocess.run(
        [
            *("promtool", "tsdb", "create-blocks-from", "openmetrics"),
            *("--max-block-duration=24h", folder / "history.om", folder / "data"),
        ],
        check=True,
        capture_output=True,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise AssertionError("Prometheus did not become ready")
