"""A map of another system's columns: its mistakes by line, and those of the rows by line too."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.facts import Run
from watchdog.runs.column_map import ColumnMapError, load_column_map
from watchdog.runs.reading import Problem, RunPathError, read_runs
from watchdog.runs.text_lines import RunFileError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LEAST = """
[fields]
run_id = "id"
workload = "name"
started_at = "began"
outcome = { column = "state", words = { DONE = "succeeded", "STOPPED*" = "cancelled" } }
"""


def read(
    tmp_path: Path, map_text: str, text: str, name: str = "jobs.csv"
) -> tuple[list[Run], list[str], tuple[str, ...]]:
    (tmp_path / "map.toml").write_text(map_text)
    (tmp_path / name).write_text(text)
    file = read_runs(tmp_path / name, now=NOW, columns=load_column_map(tmp_path / "map.toml"))
    found = [each for _, each in file]
    said = [str(each).removeprefix(f"{tmp_path}/") for each in found if isinstance(each, Problem)]
    return [each for each in found if isinstance(each, Run)], said, file.notices


def test_columns_of_another_name_and_words_of_another_language(tmp_path: Path) -> None:
    text = (
        "id,name,began,state\n1,a,2026-01-01T00:00:00Z,DONE\n"
        "2,a,2026-01-01T00:00:00Z,STOPPED by 7\n"
    )
    runs, said, notices = read(tmp_path, LEAST, text)
    assert [(run.run_id, run.outcome) for run in runs] == [("1", "succeeded"), ("2", "cancelled")]
    assert (said, notices) == ([], ())


def test_a_word_that_is_not_listed_is_unknown_or_a_fault_where_one_is_needed(
    tmp_path: Path,
) -> None:
    text = "id,name,began,state\n1,a,2026-01-01T00:00:00Z,ODD\n"
    _, said, _ = read(tmp_path, LEAST, text)
    assert said == ["jobs.csv:2: outcome: empty; every run needs one"]
    with_other = LEAST.replace("} }", '}, other = "unknown" }')
    [run], said, _ = read(tmp_path, with_other, text)
    assert (run.outcome, said) == ("unknown", [])


def test_each_fault_names_file_line_and_field(tmp_path: Path) -> None:
    map_text = LEAST.replace('"began"', '{ column = "began", time = "epoch_ms" }')
    map_text += 'peak_gpu_memory_mib = { column = "gib", scale = 1024 }\n'
    text = (
        "id,name,began,state,gib\n1,a,soon,DONE,2\n2,,1767229200000,DONE,much\n"
        "3,a,1767229200000,DONE,1.5\n4,a\n"
    )
    [run], said, _ = read(tmp_path, map_text, text)
    assert (run.run_id, run.peak_gpu_memory_mib) == ("3", 1536)
    assert said == [
        "jobs.csv:2: started_at: 'soon' is not a time by 'epoch_ms'",
        "jobs.csv:3: peak_gpu_memory_mib: 'much' is not a number",
        "jobs.csv:5: row: has 2 cells where the header has 5; are commas missing?",
    ]


def test_times_by_format_zone_and_duration(tmp_path: Path) -> None:
    map_text = 'time_zone = "Europe/Berlin"\n' + LEAST.replace(
        '"began"', '{ column = "began", time = "%d.%m.%Y %H:%M" }'
    )
    map_text += (
        'ended_at = { column = "began", time = "%d.%m.%Y %H:%M", plus_seconds = "s", per = "n" }\n'
    )
    text = (
        "id,name,began,state,s,n\n1,a,01.02.2026 01:30,DONE,7200,2\n2,a,01.02.2026 01:30,DONE,,2\n"
    )
    [first, second], said, notices = read(tmp_path, map_text, text)
    assert first.started_at == datetime(2026, 2, 1, 0, 30, tzinfo=UTC)
    assert first.ended_at == datetime(2026, 2, 1, 1, 30, tzinfo=UTC)
    assert second.ended_at is None
    assert (said, notices) == ([], ())
    _, said, _ = read(tmp_path, map_text, text.replace(",2\n", ",0\n"))
    assert "ended_at: n is 0 or empty" in said[0]


def test_times_without_a_zone_are_told(tmp_path: Path) -> None:
    text = "id,name,began,state\n1,a,2026-01-01 00:00:00,DONE\n"
    _, _, [notice] = read(tmp_path, LEAST, text)
    assert "taken for UTC; say time_zone in the map" in notice


def test_a_document_with_paths_lists_and_rows_to_skip(tmp_path: Path) -> None:
    map_text = """
    rows = "data.jobs"
    unknown = ["none"]
    [fields]
    run_id = { text = "{@file}-{job.id}-{@line}" }
    workload = "job.name"
    started_at = { column = "began", time = "epoch" }
    outcome = { column = "state", words = { DONE = "succeeded" }, other = "unknown" }
    gpus = { count = "cards" }
    gpu_model = "cards.0.model"
    config = { fingerprint = ["job.options", "seed"] }
    owner = "who"
    source = { value = "lab" }
    [[skip]]
    column = "state"
    is = ["WAITS"]
    """
    card = {"model": "A100"}
    job = {"id": 7, "name": "a", "options": {"b": 1, "a": 2}}
    rows = [
        {"job": job, "began": 1767229200, "state": ["DONE"], "cards": [card, card], "who": "none"},
        {
            "job": {**job, "options": {"a": 2, "b": 1}},
            "began": 1767229200.5,
            "state": "ODD",
            "cards": ["x"],
        },
        {"job": job, "state": ["WAITS"]},
        "odd",
    ]
    text = json.dumps({"data": {"jobs": rows}})
    [first, second], said, [left_out] = read(tmp_path, map_text, text, "jobs.json")
    assert (first.run_id, first.outcome, first.owner) == ("jobs-7-1", "succeeded", None)
    assert (first.gpus, first.gpu_model, first.source) == (2, "A100", "lab")
    assert (second.outcome, second.gpus, second.started_at.microsecond) == ("unknown", 1, 500000)
    assert first.config == second.config
    assert said == ["jobs.json:4: row: is not a JSON object"]
    assert "1 rows were left out" in left_out


def test_a_file_without_a_header(tmp_path: Path) -> None:
    map_text = 'columns = ["id", "name", "began", "state"]\ndelimiter = "|"\n' + LEAST
    runs, said, _ = read(tmp_path, map_text, "1|a|2026-01-01T00:00:00Z|DONE\n", "jobs.log")
    assert ([run.run_id for run in runs], said) == (["1"], [])


@pytest.mark.parametrize(
    ("map_text", "message"),
    [
        ("[fields", "map.toml: not TOML"),
        ("", "map.toml: fields: Field required"),
        ('[fields]\nrun_id = "id"\n', "map.toml: fields: missing workload, started_at, outcome"),
        (LEAST + 'gpu = "n"\n', "map.toml:7: fields.gpu: there is no such column"),
        (LEAST.replace('"succeeded"', '"won"'), "map.toml:6: fields.outcome: 'won' is none of"),
        (LEAST + "gpus = { }\n", "map.toml:7: fields.gpus: needs exactly one of column, text"),
        (LEAST + 'gpus = { column = "n", colum = "m" }\n', "map.toml:7: fields.gpus.colum: Extra"),
        (LEAST + 'owner = { text = "{a" }\n', "map.toml:7: fields.owner: "),
        ('time_zone = "Berlin"\n' + LEAST, "time_zone: 'Berlin' is none"),
        ('delimiter = "||"\n' + LEAST, "map.toml:1: delimiter: "),
    ],
)
def test_a_map_that_cannot_be_used_says_where(tmp_path: Path, map_text: str, message: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(map_text)
    with pytest.raises(ColumnMapError) as caught:
        load_column_map(path)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_a_map_cannot_be_used_with(tmp_path: Path) -> None:
    with pytest.raises(RunPathError, match="Parquet"):
        read(tmp_path, LEAST, "", "jobs.parquet")
    with pytest.raises(RunFileError, match=r"jobs.json: has no list of rows at 'jobs'"):
        read(tmp_path, 'rows = "jobs"\n' + LEAST, "{}", "jobs.json")
    with pytest.raises(RunFileError, match=r"jobs.json:1: is not JSON"):
        read(tmp_path, LEAST, "{", "jobs.json")
