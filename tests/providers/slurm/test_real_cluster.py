"""Jobs that really ran under a real Slurm, by `sacct`, by its lines and by its JSON."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from policies.facts import Run, RunCause, RunOutcome
from providers.base import ListsRuns, RunsAsked
from providers.slurm.files import SacctFile
from providers.slurm.sacct import FIELDS, Sacct
from tests.providers.slurm.real_cluster import (
    HAS_MEMORY_CONTROLLER,
    HOST,
    Cluster,
    slurm,
    wait_until,
)
from watchdog.ledger.store import Ledger
from watchdog.runs import sync as syncing
from watchdog.runs.sync import sync

pytestmark = pytest.mark.slow

ALL = ("-a", "-D", "-S", "2000-01-01")


@dataclass(frozen=True)
class Stage:
    cluster: Cluster
    ids: dict[str, str]
    """By the job's name."""
    while_running: list[Run]
    """What was told when `stopped` and the first attempt of `requeued` ran."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="slurm") as name, slurm(Path(name)) as cluster:
        ids = {
            "trained": cluster.submit("trained", "srun sleep 1", "--gres=gpu:a100:2"),
            "failed": cluster.submit("failed", "exit 3"),
            "hungry": cluster.submit("hungry", "head -c 300m /dev/zero | tail", "--mem=50"),
            "array": cluster.submit("array", "exit $((SLURM_ARRAY_TASK_ID))", "--array=0-1"),
            "never": cluster.submit("never", "sleep 1", "--begin=now+1hour"),
            "waiting": cluster.submit("waiting", "sleep 1", "--begin=now+1hour"),
        }
        cluster.run("scancel", ids["never"])
        script = '[ -n "$SLURM_RESTART_COUNT" ] || sleep 100'
        ids["requeued"] = cluster.submit("requeued", script, "--requeue")
        ids["stopped"] = cluster.submit("stopped", "sleep 100")
        for each in ("requeued", "stopped"):
            wait_until(lambda name=each: cluster.states().get(name) == "RUNNING")  # type: ignore[misc]
        while_running = runs(Sacct(cluster.environ))
        cluster.run("scancel", ids["stopped"])
        cluster.run("scontrol", "requeue", ids["requeued"])
        wait_until(lambda: _ended_at_last(cluster, ids["requeued"]))
        wait_until(lambda: cluster.states()["stopped"].startswith("CANCELLED"))
        yield Stage(cluster, ids, while_running)


def _ended_at_last(cluster: Cluster, requeued: str) -> bool:
    """Slurm lets a requeued job wait two minutes; it is told again, for it may end just then."""
    cluster.run("scontrol", "update", f"JobId={requeued}", "StartTime=now", check=False)
    return cluster.states().get("requeued") == "COMPLETED"


def runs(source: ListsRuns, since: datetime | None = None) -> list[Run]:
    found = list(source.runs(RunsAsked(since=since)))
    assert all(isinstance(each, Run) for each in found), found
    return [each for each in found if isinstance(each, Run)]


def by_id(found: list[Run]) -> dict[str, Run]:
    assert len({each.run_id for each in found}) == len(found)
    return {each.run_id: each for each in found}


def test_each_job_is_told_by_its_state(stage: Stage) -> None:
    found = by_id(runs(Sacct(stage.cluster.environ)))
    ids = stage.ids
    told = {run_id: (run.outcome, run.cause) for run_id, run in found.items()}
    hungry = (RunOutcome.FAILED, RunCause.OOM)
    assert told == {
        f"slurm:lab:{ids['trained']}": (RunOutcome.SUCCEEDED, None),
        f"slurm:lab:{ids['failed']}": (RunOutcome.FAILED, RunCause.ERROR),
        f"slurm:lab:{ids['hungry']}": hungry
        if HAS_MEMORY_CONTROLLER
        else (RunOutcome.SUCCEEDED, None),
        f"slurm:lab:{ids['array']}_0": (RunOutcome.SUCCEEDED, None),
        f"slurm:lab:{ids['array']}_1": (RunOutcome.FAILED, RunCause.ERROR),
        f"slurm:lab:{ids['stopped']}": (RunOutcome.CANCELLED, RunCause.USER),
        f"slurm:lab:{ids['requeued']}": (RunOutcome.CANCELLED, RunCause.UNKNOWN),
        f"slurm:lab:{ids['requeued']}:1": (RunOutcome.SUCCEEDED, None),
    }


def test_what_was_allocated_and_who_it_was(stage: Stage) -> None:
    trained = by_id(runs(Sacct(stage.cluster.environ)))[f"slurm:lab:{stage.ids['trained']}"]
    failed = by_id(runs(Sacct(stage.cluster.environ)))[f"slurm:lab:{stage.ids['failed']}"]

    assert (trained.gpus, trained.gpu_model, trained.nodes) == (2, "A100", 1)
    assert (trained.workload, trained.owner, trained.host) == ("trained", "root", HOST)
    assert trained.duration_s is not None
    assert 1 <= trained.duration_s < 30
    assert trained.aliases == f"slurm:{stage.ids['trained']}"
    assert (failed.gpus, failed.error) == (None, "exit code 3")


def test_an_array_task_bears_both_its_ids(stage: Stage) -> None:
    found = by_id(runs(Sacct(stage.cluster.environ)))
    array = stage.ids["array"]
    last = found[f"slurm:lab:{array}_1"]
    first = found[f"slurm:lab:{array}_0"]
    assert f"slurm:{array}_1" in (last.aliases or "").split(";")
    assert len((first.aliases or "").split(";")) == 2


def test_its_lines_and_its_json_tell_the_same(stage: Stage, tmp_path: Path) -> None:
    cluster = stage.cluster
    lines, document = tmp_path / "sacct.txt", tmp_path / "sacct.json"
    lines.write_text(cluster.run("sacct", "-P", *ALL, "-o", ",".join(FIELDS)))
    document.write_text(cluster.run("sacct", "--json", *ALL))
    assert json.loads(document.read_text())["errors"] == []

    live = by_id(runs(Sacct(cluster.environ)))

    assert by_id(runs(SacctFile(lines, zone=UTC))) == live
    without_codes = {name: replace(run, error=None) for name, run in live.items()}
    from_json = by_id(runs(SacctFile(document)))
    assert {name: replace(run, error=None) for name, run in from_json.items()} == without_codes


def test_local_times_in_a_file_need_their_zone(stage: Stage, tmp_path: Path) -> None:
    text = stage.cluster.run("sacct", "-P", *ALL, "-o", ",".join(FIELDS), TZ="America/Costa_Rica")
    (tmp_path / "sacct.txt").write_text(text)
    live = by_id(runs(Sacct(stage.cluster.environ)))
    there = SacctFile(tmp_path / "sacct.txt", zone=ZoneInfo("America/Costa_Rica"))
    taken_for_utc = SacctFile(tmp_path / "sacct.txt")

    assert by_id(runs(there)) == live
    assert there.notices == ()
    assert by_id(runs(taken_for_utc)).keys() == live.keys()
    assert "--time-zone" in taken_for_utc.notices[0]


def test_running_jobs_enter_and_their_ends_replace_them(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where only what changed is asked for; a requeued attempt keeps its number."""
    monkeypatch.setattr(syncing, "SMALL", 0)
    ledger = Ledger.open(str(tmp_path / "ledger"))
    source = Sacct(stage.cluster.environ)
    running = {run.run_id: run for run in stage.while_running if run.ended_at is None}
    assert running.keys() == {f"slurm:lab:{stage.ids[name]}" for name in ("stopped", "requeued")}
    assert {run.outcome for run in running.values()} == {RunOutcome.RUNNING}

    class Earlier:
        name, prefix, incremental, notices = source.name, source.prefix, True, ()
        look_again = source.look_again

        def runs(self, asked: RunsAsked) -> Iterator[Run]:
            return iter(stage.while_running)

    began = min(run.started_at for run in running.values())
    sync(ledger, Earlier(), now=began)
    second = sync(ledger, source, now=datetime.now(UTC))
    third = sync(ledger, source, now=datetime.now(UTC) + timedelta(minutes=5))

    outcomes = {row["run_id"]: row["outcome"] for row in ledger.rows("runs")}
    assert second.since is not None
    assert (second.failed, second.bad) == (None, 0)
    assert second.added == len(outcomes) - len(stage.while_running) + 2
    assert third.added == 0
    assert outcomes[f"slurm:lab:{stage.ids['stopped']}"] == "cancelled"
    assert outcomes[f"slurm:lab:{stage.ids['requeued']}"] == "cancelled"
    assert outcomes[f"slurm:lab:{stage.ids['requeued']}:1"] == "succeeded"
