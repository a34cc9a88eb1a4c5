"""`runs sync` and `runs import --map` as a person or a script calls them."""

from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell, on_a_terminal

SACCT = """JobID|Cluster|State|Start|End|JobName|User
17|lab|COMPLETED|2026-01-01T01:00:00|2026-01-01T02:00:00|train|ana
17.batch|lab|COMPLETED|2026-01-01T01:00:00|2026-01-01T02:00:00|batch|
18|lab|FAILED|2026-01-01T01:00:00|2026-01-01T01:30:00|train|ana
19|lab|PENDING|Unknown|Unknown|train|ana
"""
MLRUN = "run_id: a\nstatus: 3\nstart_time: 1767229200000\nend_time: 1767232800000\nuser_id: ana\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


@pytest.fixture
def jobs(tmp_path: Path) -> str:
    (tmp_path / "jobs.txt").write_text(SACCT)
    return "jobs.txt"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "mlruns" / "0" / "a"
    folder.mkdir(parents=True)
    (folder / "meta.yaml").write_text(MLRUN)
    (folder.parent / "meta.yaml").write_text("name: nlp\n")
    return tmp_path / "mlruns"


def test_a_file_of_sacct_enters_once(shell: Shell, jobs: str) -> None:
    first = shell("runs", "sync", jobs)
    assert (first.code, first.out) == (
        0,
        "jobs.txt: 2 runs read, 2 added, 0 known already, 0 bad\n",
    )
    assert "--time-zone" in first.err
    assert "1 rows of jobs that wait" in first.err

    again = shell("runs", "sync", jobs, "--time-zone", "UTC", "--json")
    [told] = again.json["sources"]
    assert again.json["schema"] == "spend-watchdog/sync/1"
    assert (told["read"], told["added"], told["unchanged"], told["since"]) == (2, 0, 2, None)
    listed = shell("runs", "list", "--json").json["rows"]
    assert {row["run_id"]: row["outcome"] for row in listed} == {
        "slurm:lab:17": "succeeded",
        "slurm:lab:18": "failed",
    }


def test_a_row_that_cannot_be_read_is_exit_code_4(shell: Shell, jobs: str, tmp_path: Path) -> None:
    (tmp_path / jobs).write_text(SACCT + "20|lab\n")
    done = shell("runs", "sync", jobs, "--json")
    assert done.code == 4
    assert "jobs.txt:6: row: has 2 cells where the header has 7" in done.err
    assert done.json["sources"][0]["problems"] == [
        {"where": "jobs.txt:6", "field": "row", "why": "has 2 cells where the header has 7"}
    ]


def test_mlflow_is_found_by_its_variable_and_by_the_setting(
    shell: Shell, store: Path, tmp_path: Path
) -> None:
    by_variable = shell("runs", "sync", "mlflow", MLFLOW_TRACKING_URI=store.as_uri())
    assert "1 runs read, 1 added" in by_variable.out
    (tmp_path / "spend-watchdog.toml").write_text(f'[mlflow]\ntracking_uri = "{store}"\n')
    by_setting = shell("runs", "sync", "mlflow", MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert "1 runs read, 0 added" in by_setting.out
    by_path = shell("runs", "sync", "mlruns")
    assert "1 runs read, 0 added" in by_path.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere",), 2, "nowhere: is no source of runs and no file; there are mlflow,"),
        (("mlflow",), 2, "set mlflow.tracking_uri in the settings or MLFLOW_TRACKING_URI"),
        (("sqlite:///x.db",), 2, "start `mlflow server` on it"),
        (("file:///nowhere",), 2, "there is no such folder"),
        (("jobs.txt", "--time-zone", "Berlin"), 2, "Berlin: is no time zone"),
        (("jobs.txt", "--columns", "JobID,State"), 1, "lacks Start, End"),
        (("jobs.txt", "--since", "soon"), 2, "'soon' is no time"),
        (("slurm",), 1, "slurm: there is no program sacct on this machine"),
        (("sagemaker",), 1, "sagemaker: no AWS credentials were found"),
    ],
)
def test_a_mistake_is_one_clear_line(
    shell: Shell, jobs: str, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = shell("runs", "sync", *arguments, PATH="/nowhere", AWS_CONFIG_FILE="/dev/null")
    assert done.code == code
    assert message in " ".join(done.err.replace("│", " ").split())


def test_a_terminal_shows_the_same_result(jobs: str, tmp_path: Path) -> None:
    lines = on_a_terminal(tmp_path, "runs", "sync", jobs, "--time-zone", "UTC", columns=100)
    assert any("2 runs read, 2 added" in line for line in lines)


def test_a_file_enters_by_a_map(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text(
        '[fields]\nrun_id = "id"\nworkload = "name"\nstarted_at = "began"\n'
        'outcome = { column = "state", words = { DONE = "succeeded" } }\n'
    )
    (tmp_path / "lab.csv").write_text(
        "id,name,began,state\n1,a,2026-01-01T00:00:00Z,DONE\n2,a,2026-01-01T00:00:00Z,ODD\n"
    )
    done = shell("runs", "import", "lab.csv", "--map", "lab.toml")
    assert done.code == 4
    assert "lab.csv:3: outcome: empty; every run needs one" in done.err
    assert "2 rows, 1 added" in done.out
    wrong = shell("runs", "import", "lab.csv", "--map", "none.toml")
    assert (wrong.code, wrong.out) == (2, "")
    assert "none.toml: cannot be read" in wrong.err
