"""Rows of Slurm's accounting into runs, by lines as `sacct -P` prints them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Run, RunCause, RunOutcome
from providers.base import RunNotRead, RunsAsked, RunSourceError
from providers.slurm.files import SacctFile
from providers.slurm.jobs import gpu_model_of, gpus_of
from providers.slurm.states import ENDINGS, NOT_BEGUN, bare_state, ending_of

HEADER = "JobID|JobIDRaw|Cluster|State|Start|End|Submit|NNodes|NodeList|AllocTRES|ExitCode|JobName"
ASKED = RunsAsked(since=None)


def line(
    job: str = "17",
    state: str = "COMPLETED",
    start: str = "2026-01-01T01:00:00",
    end: str = "2026-01-01T02:00:00",
    *,
    raw: str = "17",
    tres: str = "billing=2,cpu=2",
    node: str = "n1",
    name: str = "train",
    code: str = "0:0",
) -> str:
    submit = "2026-01-01T00:30:00"
    return f"{job}|{raw}|lab|{state}|{start}|{end}|{submit}|1|{node}|{tres}|{code}|{name}"


def told(tmp_path: Path, *lines: str, header: str = HEADER) -> list[Run | RunNotRead]:
    path = tmp_path / "sacct.txt"
    path.write_text("\n".join([header, *lines]) + "\n")
    return list(SacctFile(path, zone=UTC).runs(ASKED))


def runs(tmp_path: Path, *lines: str) -> dict[str, Run]:
    found = told(tmp_path, *lines)
    assert all(isinstance(each, Run) for each in found), found
    return {each.run_id: each for each in found if isinstance(each, Run)}


@pytest.mark.parametrize(
    ("state", "outcome", "cause"),
    [
        ("COMPLETED", "succeeded", None),
        ("FAILED", "failed", "error"),
        ("OUT_OF_MEMORY", "failed", "oom"),
        ("OUT_OF_ME+", "unknown", None),
        ("TIMEOUT", "failed", "timeout"),
        ("DEADLINE", "failed", "timeout"),
        ("NODE_FAIL", "failed", "node_failure"),
        ("BOOT_FAIL", "failed", "node_failure"),
        ("PREEMPTED", "cancelled", "preempted"),
        ("CANCELLED", "cancelled", "user"),
        ("CANCELLED by 1000", "cancelled", "user"),
        ("CANCELLED+", "cancelled", "user"),
        ("REQUEUED", "cancelled", "unknown"),
        ("RUNNING", "running", None),
        ("SUSPENDED", "running", None),
        ("COMPLETING", "running", None),
        ("CD", "succeeded", None),
        ("SOMETHING_NEW", "unknown", None),
        ("", "unknown", None),
    ],
)
def test_the_state_decides(tmp_path: Path, state: str, outcome: str, cause: str | None) -> None:
    [run] = runs(tmp_path, line(state=state, code="0:0")).values()
    assert (run.outcome, run.cause) == (outcome, cause)
    assert (run.ended_at is None) == (outcome == "running")


def test_no_state_is_both_an_ending_and_a_wait() -> None:
    assert not NOT_BEGUN & ENDINGS.keys()


@given(st.text())
def test_any_word_has_an_ending(word: str) -> None:
    outcome, cause = ending_of(bare_state(word))
    assert isinstance(outcome, RunOutcome)
    assert cause is None or isinstance(cause, RunCause)


@pytest.mark.parametrize("start", ["Unknown", "None", "", "INVALID"])
def test_what_waits_or_never_began_is_no_run(tmp_path: Path, start: str) -> None:
    assert runs(tmp_path, line(state="PENDING", start=start, end="Unknown")) == {}
    assert runs(tmp_path, line(state="CANCELLED by 0", start=start)) == {}


def test_what_ended_in_the_queue_is_no_run(tmp_path: Path) -> None:
    at = "2026-01-01T01:00:00"
    assert runs(tmp_path, line(state="CANCELLED", start=at, end=at, node="None assigned")) == {}


def test_steps_are_folded_into_their_job(tmp_path: Path) -> None:
    found = runs(
        tmp_path,
        line(),
        line("17.batch", name="batch", tres="gres/gpu=9"),
        line("17.extern", name="extern"),
        line("17.0", "FAILED", name="python"),
    )
    assert list(found) == ["slurm:lab:17"]
    assert found["slurm:lab:17"].outcome == "succeeded"
    assert found["slurm:lab:17"].gpus is None


def test_a_step_that_ran_out_of_memory_says_why_its_job_failed(tmp_path: Path) -> None:
    early = line("17", "FAILED", "2025-01-01T01:00:00", "2025-01-01T02:00:00", code="1:0")
    late = line("17", "FAILED", "2027-01-01T01:00:00", "2027-01-01T02:00:00", code="1:0")
    found = runs(tmp_path, early, line(state="FAILED"), late, line("17.0", "OUT_OF_MEMORY"))
    assert [run.cause for run in found.values()] == ["error", "oom", "error"]


def test_tasks_of_an_array_are_runs_of_one_workload(tmp_path: Path) -> None:
    found = runs(
        tmp_path,
        line("17_0", raw="18"),
        line("17_1", raw="17"),
        line("17_[2-9]", "PENDING", "Unknown"),
    )
    assert list(found) == ["slurm:lab:17_0", "slurm:lab:17_1"]
    assert {run.workload for run in found.values()} == {"train"}
    assert found["slurm:lab:17_0"].aliases == "slurm:17_0;slurm:18"


def test_parts_of_a_heterogeneous_job_are_one_run(tmp_path: Path) -> None:
    found = runs(
        tmp_path,
        line("17+0", raw="17", tres="gres/gpu=4", node="n1"),
        line("17+1", "FAILED", end="2026-01-01T03:00:00", raw="18", tres="gres/gpu=2", node="n2"),
    )
    [run] = found.values()
    assert run.run_id == "slurm:lab:17"
    assert (run.gpus, run.nodes, run.host) == (6, 2, None)
    assert (run.outcome, run.ended_at) == ("failed", datetime(2026, 1, 1, 3, tzinfo=UTC))
    assert run.aliases == "slurm:17;slurm:18"


def test_requeues_are_attempts_of_their_own_in_the_order_of_their_starts(tmp_path: Path) -> None:
    first = line(state="NODE_FAIL", end="2026-01-01T01:10:00")
    second = line(state="PREEMPTED", start="2026-01-01T01:20:00", end="2026-01-01T01:30:00")
    third = line(start="2026-01-01T01:40:00")
    expected = {
        "slurm:lab:17": "failed",
        "slurm:lab:17:1": "cancelled",
        "slurm:lab:17:2": "succeeded",
    }
    for order in ([first, second, third], [third, first, second, second]):
        found = runs(tmp_path, *order)
        assert {name: run.outcome for name, run in found.items()} == expected


@pytest.mark.parametrize(
    ("tres", "gpus", "model"),
    [
        ("billing=1,cpu=1,gres/gpu:a100=2,gres/gpu=2,mem=1G,node=1", 2, "A100"),
        ("gres/gpu:a100=2,gres/gpu:v100=1", 3, None),
        ("gres/gpu=8", 8, None),
        ("gpu:nvidia_a100-sxm4-80gb=4", 4, "A100-SXM4-80GB"),
        ("billing=12,cpu=12,mem=1G,node=1", None, None),
        ("gres/gpumem=100,gres/gpuutil=50", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_gpus_are_those_that_were_allocated(
    tres: str | None, gpus: int | None, model: str | None
) -> None:
    assert (gpus_of(tres), gpu_model_of(tres)) == (gpus, model)


def test_what_cannot_be_read_is_one_line_each(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        line(start="yesterday"),
        "17|17|lab",
        line("seventeen"),
        line(name="a|b"),
    )
    said = [
        str(each).removeprefix(f"{tmp_path}/") for each in found if isinstance(each, RunNotRead)
    ]
    assert said == [
        "sacct.txt:2: Start: 'yesterday' is no time like 2026-01-31T14:05:09 or seconds since 1970",
        "sacct.txt:3: row: has 3 cells where the header has 12",
        "sacct.txt:4: JobID: 'seventeen' is no job's id",
    ]
    assert [each.workload for each in found if isinstance(each, Run)] == ["a|b"]


def test_a_file_without_what_is_needed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunSourceError, match=r"sacct.txt:1: header: lacks Start, End; .*--columns"):
        told(tmp_path, header="JobID|State")
    with pytest.raises(RunSourceError, match=r"no Cluster.*--cluster"):
        told(tmp_path, header="JobID|State|Start|End")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ('{"errors": [{"description": "no"}]}', "no list called jobs, .*sacct said: no"),
    ],
)
def test_a_broken_document_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sacct.json"
    path.write_text(text)
    with pytest.raises(RunSourceError, match=message):
        list(SacctFile(path).runs(ASKED))


def test_a_document_of_a_newer_slurm(tmp_path: Path) -> None:
    """Lists of states and numbers in `{set, number}`, as its OpenAPI 0.0.40 describes them."""
    path = tmp_path / "sacct.json"
    path.write_text(
        """{"jobs": [{"job_id": 17, "cluster": "lab", "name": "train", "user": "ana",
        "account": "nlp", "nodes": "n1", "allocation_nodes": 1,
        "array": {"job_id": 16, "task_id": {"set": true, "infinite": false, "number": 3}},
        "het": {"job_id": 0, "job_offset": {"set": false, "number": 0}},
        "state": {"current": ["FAILED"], "reason": "None"},
        "exit_code": {"return_code": {"set": true, "number": 3}, "signal": {"id": {"set": false}}},
        "time": {"submission": 1767225600, "start": 1767229200, "end": 1767232800},
        "tres": {"allocated": [{"type": "gres", "name": "gpu", "count": 2},
                               {"type": "gres", "name": "gpu:h100", "count": 2}]},
        "steps": [{"state": ["OUT_OF_MEMORY"],
                   "time": {"start": {"set": true, "number": 1767229300}}}]},
        {"name": "no id"}]}"""
    )
    problem, run = SacctFile(path).runs(ASKED)
    assert isinstance(run, Run)
    assert isinstance(problem, RunNotRead)
    assert run.run_id == "slurm:lab:16_3"
    assert (run.outcome, run.cause, run.error) == ("failed", "oom", "exit code 3")
    assert (run.gpus, run.gpu_model, run.owner) == (2, "H100", "ana")
    assert run.started_at == datetime.fromtimestamp(1767229200, UTC)
    assert str(problem) == f"{path}: jobs[1]: job_id: missing"
