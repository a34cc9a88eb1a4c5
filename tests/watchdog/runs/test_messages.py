"""Every message that a bad row can cause, to the letter: FILE:LINE: field: why, and what to do."""

from pathlib import Path

import pytest

from tests.watchdog.runs.histories import read, row, write_csv, write_jsonl

WORDS = "succeeded, failed, cancelled, lost, running, unknown"


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"run_id": ""}, "run_id: empty; every run needs one"),
        ({"run_id": "  "}, "run_id: empty; every run needs one"),
        ({"workload": ""}, "workload: empty; every run needs one"),
        ({"outcome": ""}, "outcome: empty; every run needs one"),
        (
            {"started_at": "yesterday"},
            (
                "started_at: 'yesterday' is not a time; "
                "write it as RFC 3339, like 2026-01-31T14:05:09Z"
            ),
        ),
        (
            {"started_at": "2026-02-30T00:00:00Z"},
            (
                "started_at: '2026-02-30T00:00:00Z' is not a time; "
                "write it as RFC 3339, like 2026-01-31T14:05:09Z"
            ),
        ),
        (
            {"started_at": "2026-01-01"},
            (
                "started_at: '2026-01-01' is not a time; "
                "write it as RFC 3339, like 2026-01-31T14:05:09Z"
            ),
        ),
        (
            {"started_at": "1767225600"},
            (
                "started_at: '1767225600' is not a time; "
                "write it as RFC 3339, like 2026-01-31T14:05:09Z"
            ),
        ),
        (
            {"started_at": "0001-01-01T00:00:00+14:00"},
            (
                "started_at: '0001-01-01T00:00:00+14:00' is not a time; "
                "write it as RFC 3339, like 2026-01-31T14:05:09Z"
            ),
        ),
        (
            {"started_at": "1970-01-01T00:00:00Z"},
            "started_at: 1970-01-01T00:00:00Z is before 2000; leave it empty where it is unknown",
        ),
        (
            {"started_at": "2026-06-01T00:05:01Z"},
            (
                "started_at: 2026-06-01T00:05:01Z lies in the future (it is 2026-06-01T00:00:00Z); "
                "check the clock and the time zone"
            ),
        ),
        (
            {"ended_at": "2027-01-01T01:00:00+01:00"},
            (
                "ended_at: 2027-01-01T00:00:00Z lies in the future (it is 2026-06-01T00:00:00Z); "
                "check the clock and the time zone"
            ),
        ),
        (
            {"ended_at": "2025-12-31T23:59:59.5Z"},
            "ended_at: 2025-12-31T23:59:59.500000Z is before started_at 2026-01-01T00:00:00Z",
        ),
        (
            {"outcome": "running", "ended_at": "2026-01-01T01:00:00Z"},
            "ended_at: given, but the outcome is running; leave it empty or say how the run ended",
        ),
        (
            {"outcome": "sucess"},
            f"outcome: 'sucess' is not a known word; did you mean succeeded? use one of {WORDS}",
        ),
        (
            {"outcome": "COMPLETED"},
            f"outcome: 'COMPLETED' is not a known word; did you mean succeeded? use one of {WORDS}",
        ),
        ({"outcome": "42"}, f"outcome: '42' is not a known word; use one of {WORDS}"),
        (
            {"cause": "OUT_OF_MEMORY"},
            (
                "cause: 'OUT_OF_MEMORY' is not a known word; did you mean oom? "
                "use one of error, oom, timeout, user, preempted, node_failure, capacity, unknown"
            ),
        ),
        (
            {"kind": "train"},
            (
                "kind: 'train' is not a known word; did you mean training? "
                "use one of training, batch, notebook, service, unknown"
            ),
        ),
        (
            {"location": "clouds"},
            "location: 'clouds' is not a known word; did you mean cloud? use one of local, cloud",
        ),
        ({"gpus": "4.5"}, "gpus: '4.5' is not a whole number"),
        ({"gpus": "-1"}, "gpus: '-1' is negative"),
        ({"gpus": "eight"}, "gpus: 'eight' is not a number"),
        ({"gpus": "1_000"}, "gpus: '1_000' is not a number"),
        ({"gpus": "٣"}, "gpus: '٣' is not a number"),
        ({"sent_bytes": "9223372036854775808"}, "sent_bytes: '9223372036854775808' is too large"),
        ({"sent_bytes": "1e999999"}, "sent_bytes: '1e999999' is too large"),
        ({"nodes": "9" * 500}, f"nodes: '{'9' * 59}… is not a number"),
        ({"throughput": "1e400"}, "throughput: '1e400' is too large"),
        (
            {"throughput": "NaN"},
            "throughput: 'NaN' is not a finite number; leave it empty where it is unknown",
        ),
        (
            {"metric_value": "-inf"},
            "metric_value: '-inf' is not a finite number; leave it empty where it is unknown",
        ),
        ({"setup_seconds": "-0.1"}, "setup_seconds: '-0.1' is negative"),
        (
            {"gpu_utilisation_mean_pct": "100.1"},
            "gpu_utilisation_mean_pct: '100.1' is outside 0 to 100 percent",
        ),
        (
            {"gpu_utilisation_mean_pct": "-1"},
            "gpu_utilisation_mean_pct: '-1' is outside 0 to 100 percent",
        ),
        ({"cost_usd": "-0.01"}, "cost_usd: '-0.01' is negative"),
        ({"cost_usd": "$12"}, "cost_usd: '$12' is not a number"),
        ({"cost_usd": "1000000000"}, "cost_usd: '1000000000' is too large"),
        ({"owner": "a\0b"}, "owner: holds a NUL byte; remove it"),
        ({"outcome": "\x1b[2J"}, f"outcome: '\\x1b[2J' is not a known word; use one of {WORDS}"),
    ],
)
def test_a_bad_cell_is_one_line(tmp_path: Path, cells: dict[str, object], said: str) -> None:
    path = write_csv(tmp_path / "runs.csv", [row(run_id="r0"), row(**cells), row(run_id="r2")])

    runs, lines = read(path)

    assert lines == [f"runs.csv:3: {said}"]
    assert [run.run_id for run in runs] == ["r0", "r2"]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"gpus": True}, "gpus: True is not a number"),
        ({"gpus": -1}, "gpus: -1 is negative"),
        ({"gpus": 4.5}, "gpus: 4.5 is not a whole number"),
        ({"sent_bytes": 2**63}, "sent_bytes: 9223372036854775808 is too large"),
        (
            {"throughput": float("nan")},
            "throughput: nan is not a finite number; leave it empty where it is unknown",
        ),
        (
            {"started_at": 1767225600},
            "started_at: 1767225600 is not a time; write it as RFC 3339, like 2026-01-31T14:05:09Z",
        ),
        ({"machine_id": ["a"]}, "machine_id: ['a'] is not text; put it in quotes"),
        ({"code": 1.5}, "code: 1.5 is not text; put it in quotes"),
        ({"owner": "\ud800"}, "owner: is not valid UTF-8 text; save the file as UTF-8"),
        ({"workload": None}, "workload: empty; every run needs one"),
    ],
)
def test_a_bad_json_value_is_one_line(tmp_path: Path, cells: dict[str, object], said: str) -> None:
    path = write_jsonl(tmp_path / "runs.jsonl", [row(run_id="r0"), row(**cells)])

    runs, lines = read(path)

    assert lines == [f"runs.jsonl:2: {said}"]
    assert [run.run_id for run in runs] == ["r0"]


def test_all_that_is_wrong_with_a_row_is_said_at_once(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", [row(workload="", started_at="noon", gpus="x")])

    assert read(path) == (
        [],
        [
            (
                "runs.csv:2: started_at: 'noon' is not a time; "
                "write it as RFC 3339, like 2026-01-31T14:05:09Z"
            ),
            "runs.csv:2: gpus: 'x' is not a number",
            "runs.csv:2: workload: empty; every run needs one",
        ],
    )


def test_a_json_line_without_a_required_name_is_told_the_one_that_looks_like_it(
    tmp_path: Path,
) -> None:
    line = row()
    line["work_load"] = line.pop("workload")

    assert read(write_jsonl(tmp_path / "runs.jsonl", [line])) == (
        [],
        ["runs.jsonl:1: workload: missing; every run needs one (is it the one called work_load?)"],
    )


def test_an_id_may_stand_in_one_row_only_even_if_the_rows_are_equal(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "runs.csv",
        [row(), row(run_id="r2"), row(outcome="failed"), row(run_id="r2"), row(run_id="r3")],
    )

    runs, lines = read(path)

    assert lines == [
        "runs.csv:4: run_id: 'r1' stands in line 2 too; keep one row a run",
        "runs.csv:5: run_id: 'r2' stands in line 3 too; keep one row a run",
    ]
    assert [run.run_id for run in runs] == ["r1", "r2", "r3"]


def test_a_bad_row_claims_its_id_too(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", [row(gpus="x"), row(gpus="8")])

    assert read(path) == (
        [],
        [
            "runs.csv:2: gpus: 'x' is not a number",
            "runs.csv:3: run_id: 'r1' stands in line 2 too; keep one row a run",
        ],
    )
