"""Cloud Custodian from PyPI, in an environment of its own, asked for machines with quiet GPUs."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

VERSION = "0.9.53"
CACHE = platformdirs.user_cache_path("spend-watchdog") / "bench"

NAME = "gpu-quiet"
POLICY = {
    "name": NAME,
    "resource": "aws.ec2",
    "filters": [
        {
            "type": "metrics",
            "namespace": "CWAgent",
            "name": "nvidia_smi_utilization_gpu",
            "statistics": "Maximum",
            "days": 0.125,
            "period": 10_800,
            "op": "less-than",
            "value": 5,
        }
    ],
}
"""The maximum over the last three hours: one metric a machine, and one point of it. Less cannot be
asked; whoever wants memory, power or network too asks as many calls again for each."""


def installed() -> Path:
    """The command, installed at the first call into a folder of the user's cache."""
    folder = CACHE / f"c7n-{VERSION}"
    command = folder / "bin" / "custodian"
    if not command.exists():
        print(f"installing Cloud Custodian {VERSION} into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, f"c7n=={VERSION}"], check=True)
    return command


def quiet_machines(
    command: Path, regions: Sequence[str], environment: Mapping[str, str], folder: Path
) -> set[str]:
    """One process a region, all started at once; the machines that match, by instance id."""
    policy = folder / "policies.json"
    policy.write_text(json.dumps({"policies": [POLICY]}), encoding="utf-8")
    processes = [
        subprocess.Popen(
            _arguments(command, region, policy, folder / region),
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for region in regions
    ]
    said = [process.communicate()[1] for process in processes]
    for process, errors in zip(processes, said, strict=True):
        if process.returncode:
            raise RuntimeError(f"custodian ended with {process.returncode}: {errors}")
    return {machine for region in regions for machine in _matched(folder / region)}


def _arguments(command: Path, region: str, policy: Path, output: Path) -> list[str]:
    """Without its cache of resources: each run is to look, and writing it would cost time."""
    options = ["--region", region, "--output-dir", str(output), "--cache-period", "0"]
    return [str(command), "run", *options, str(policy)]


def _matched(output: Path) -> list[str]:
    resources = json.loads((output / NAME / "resources.json").read_text(encoding="utf-8"))
    return [resource["InstanceId"] for resource in resources]
