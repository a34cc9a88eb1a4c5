"""A real one-node Slurm with accounting on loopback, so that `sacct` tells of jobs that really ran.

All state lies in one folder, on own ports and sockets. Needs root and the Debian packages
`slurmctld slurmd slurmdbd slurm-client munge mariadb-server`, which `.ci/run` installs. Out of
memory needs the memory controller of cgroup v1.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

HOST = socket.gethostname().split(".")[0]
CGROUP = Path("/sys/fs/cgroup/memory")
HAS_MEMORY_CONTROLLER = (CGROUP / "memory.limit_in_bytes").exists()
PROGRAMS = ("sacct", "slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd")
SLURMDBD = """
AuthType=auth/munge
AuthInfo=socket={d}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=slurm
LogFile={d}/slurmdbd.log
PidFile={d}/slurmdbd.pid
"""
SLURM = """
ClusterName=lab
AuthType=auth/munge
AuthInfo=socket={d}/munge.sock
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
StateSaveLocation={d}/state
SlurmdSpoolDir={d}/spool
SlurmctldPidFile={d}/slurmctld.pid
SlurmdPidFile={d}/slurmd.pid
SlurmctldLogFile={d}/slurmctld.log
SlurmdLogFile={d}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin={task}
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={d}/munge.sock
AccountingStorageTRES=gres/gpu,gres/gpu:a100
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 Gres=gpu:a100:2
PartitionName=gpu Nodes={host} Default=YES State=UP
"""
GRES = "AutoDetect=off\nNodeName={host} Name=gpu Type=a100 File={d}/gpu[0-1]\n"
CGROUP_CONF = (
    "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\n"
    "ConstrainRAMSpace=yes\n"
)


@dataclass(frozen=True)
class Cluster:
    environ: Mapping[str, str]

    def run(self, *command: str, check: bool = True, **more: str) -> str:
        return subprocess.run(
            command, check=check, capture_output=True, text=True, env={**self.environ, **more}
        ).stdout

    def submit(self, name: str, script: str, *options: str) -> str:
        wrapped = f"--wrap={script}"
        words = ("sbatch", "--parsable", "-J", name, "-o", "/dev/null", *options, wrapped)
        return self.run(*words).strip()

    def states(self) -> dict[str, str]:
        """The newest row of each job, by name."""
        lines = self.run("sacct", "-n", "-P", "-X", "-o", "JobName,State").splitlines()
        return dict(line.rsplit("|", 1) for line in lines)

    def wait_until_quiet(self) -> None:
        """Nothing runs, and the accounting knows of every end."""
        wait_until(lambda: not self.run("squeue", "-h"))
        begun = ("RUNNING", "PENDING", "COMPLETING")
        wait_until(lambda: not [s for s in self.states().values() if s in begun])


def wait_until(ready: Callable[[], object], patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not ready():
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(0.1)


@contextmanager
def slurm(d: Path) -> Iterator[Cluster]:
    _skip_where_it_cannot_be()
    d.chmod(0o755)  # the job steps and mariadb enter it
    _write_settings(d)
    environ = {**os.environ, "SLURM_CONF": f"{d}/slurm.conf", "TZ": "UTC"}
    environ.pop("SLURM_TIME_FORMAT", None)
    cluster = Cluster(environ)
    with ExitStack() as stack:
        stack.callback(_remove_cgroup, cluster)

        def start(*command: str) -> None:
            stack.enter_context(_daemon(d, environ, *command))

        files = [f"--{name}-file={d}/munge.{name}" for name in ("key", "pid", "seed", "log")]
        start("munged", "-F", "--force", f"--socket={d}/munge.sock", *files)
        _start_database(d, cluster, start)
        start("slurmdbd", "-D")
        wait_until(lambda: _works(cluster, "sacctmgr", "-n", "show", "cluster"))
        cluster.run("sacctmgr", "-i", "add", "cluster", "lab")
        start("slurmctld", "-D")
        wait_until(lambda: "UP" in cluster.run("scontrol", "ping", check=False))
        start("slurmd", "-D", "-N", HOST)
        wait_until(lambda: "idle" in cluster.run("sinfo", "-h", "-o", "%T", check=False))
        yield cluster


def _skip_where_it_cannot_be() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(
            f"needs root and {', '.join(missing) or 'Slurm'} (Debian packages: slurmctld slurmd"
            " slurmdbd slurm-client munge mariadb-server)"
        )


def _write_settings(d: Path) -> None:
    ctld, slurmd, dbd, sql = _free_ports(4)
    known = {"d": d, "host": HOST, "ctld": ctld, "slurmd": slurmd, "dbd": dbd, "sql": sql}
    known["task"] = "task/cgroup" if HAS_MEMORY_CONTROLLER else "task/none"
    texts = {"slurm": SLURM, "slurmdbd": SLURMDBD, "gres": GRES, "cgroup": CGROUP_CONF}
    for name, text in texts.items():
        (d / f"{name}.conf").write_text(text.format(**known))
    (d / "slurmdbd.conf").chmod(0o600)
    (d / "sql.port").write_text(str(sql))
    for name in ("state", "spool", "sql"):
        (d / name).mkdir()
    for name in ("gpu0", "gpu1"):
        (d / name).touch()
    (d / "munge.key").write_bytes(os.urandom(128))
    (d / "munge.key").chmod(0o600)


def _start_database(d: Path, cluster: Cluster, start: Callable[..., None]) -> None:
    client = ("mariadb", "--no-defaults", f"--socket={d}/sql/s.sock", "--user=root")
    cluster.run(
        *("mariadb-install-db", "--no-defaults", f"--datadir={d}/sql", "--user=root"),
        *("--skip-test-db", "--auth-root-authentication-method=normal"),
    )
    start(
        *("mariadbd", "--no-defaults", "--user=root", f"--datadir={d}/sql"),
        *(f"--socket={d}/sql/s.sock", f"--pid-file={d}/sql/pid", "--bind-address=127.0.0.1"),
        f"--port={(d / 'sql.port').read_text()}",
    )
    wait_until(lambda: cluster.run(*client, "-e", "select 1", check=False))
    cluster.run(
        *client,
        "-e",
        "create database slurm_acct_db; create user slurm@'%' identified by 'slurm';"
        "grant all on slurm_acct_db.* to slurm@'%'",
    )


def _works(cluster: Cluster, *command: str) -> bool:
    done = subprocess.run(command, capture_output=True, check=False, env=dict(cluster.environ))
    return done.returncode == 0


@contextmanager
def _daemon(d: Path, environ: Mapping[str, str], *command: str) -> Iterator[None]:
    with (d / f"{command[0]}.out").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(environ))
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _free_ports(how_many: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(how_many)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _remove_cgroup(cluster: Cluster) -> None:
    """slurmd leaves its own behind."""
    if HAS_MEMORY_CONTROLLER:
        words = ("-depth", "-type", "d", "-exec", "rmdir", "{}", ";")
        cluster.run("find", str(CGROUP / f"slurm_{HOST}"), *words, check=False)
