"""Quotes, line ends, encodings, packing, types, and files that are no run files at all."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from policies.facts import RunOutcome
from tests.watchdog.runs.histories import (
    NOW,
    notices,
    read,
    row,
    write_csv,
    write_gzip,
    write_jsonl,
    write_parquet,
)
from watchdog.runs.reading import RunPathError, read_runs
from watchdog.runs.text_lines import RunFileError

HEADER = "run_id,workload,started_at,outcome\n"
END = "2026-01-01T00:00:00Z,succeeded"


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def ids(path: Path) -> list[str]:
    runs, said = read(path)
    assert said == []
    return [run.run_id for run in runs]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}a,w,{END}\nb,w,{END}\n",
        f"{HEADER}a,w,{END}\nb,w,{END}",
        f"\n{HEADER}\na,w,{END}\n\n\nb,w,{END}\n\n",
        f"\ufeff{HEADER}a,w,{END}\nb,w,{END}\n",
        f"{HEADER}a,w,{END}\nb,w,{END}\n".replace("\n", "\r\n"),
        f"run_id, workload ,started_at,outcome\na,w,{END}\nb,w,{END}\n",
    ],
    ids=["plain", "no last line end", "blank lines", "byte order mark", "CRLF", "spaces in header"],
)
def test_a_csv_may_be_written_in_any_of_the_usual_ways(tmp_path: Path, text: str) -> None:
    assert ids(write(tmp_path / "runs.csv", text)) == ["a", "b"]


@pytest.mark.parametrize("name", ["runs.csv.gz", "RUNS.CSV.GZ", "really-packed.csv"])
def test_a_packed_csv_is_unpacked(tmp_path: Path, name: str) -> None:
    assert ids(write_gzip(tmp_path / name, f"{HEADER}a,w,{END}\n".encode())) == ["a"]


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.ndjson"])
def test_json_lines_may_be_packed_and_hold_blank_lines(tmp_path: Path, name: str) -> None:
    text = write_jsonl(tmp_path / name, [row(), row(run_id=7)]).read_bytes() + b"\n  \n"

    assert ids(write(tmp_path / name, b"\xef\xbb\xbf" + text)) == ["r1", "7"]
    assert ids(write_gzip(tmp_path / f"{name}.gz", text)) == ["r1", "7"]


def test_line_numbers_stay_right_behind_line_ends_inside_quotes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.csv",
        'run_id,"work\nload",started_at,outcome,workload,error\n'
        f'a,,{END},w,"first\nsecond\r\nthird"\n'
        f"b,,{END},,\n"
        f'c,,{END},w,"one ""quoted"" word"\n',
    )

    runs, said = read(path)

    assert said == ["runs.csv:6: workload: empty; every run needs one"]
    assert [run.error for run in runs] == ["first\nsecond\r\nthird", 'one "quoted" word']


def test_a_quote_that_is_never_closed_costs_its_own_line_only(tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.csv",
        f'{HEADER}a,w,{END}\nb,"w,{END}\nc,w,{END}\nd,"x\ny",{END}\ne,w,succeeded\nf,"w"x,{END}\n',
    )

    runs, said = read(path)

    assert said == [
        (
            "runs.csv:3: row: has text behind a closing quote; "
            "double each quote inside a quoted value"
        ),
        "runs.csv:7: row: has 3 cells where the header has 4; are commas missing?",
        (
            "runs.csv:8: row: has text behind a closing quote; "
            "double each quote inside a quoted value"
        ),
    ]
    assert [run.run_id for run in runs] == ["a", "c", "d"]


def test_an_open_quote_before_the_end_of_the_file_is_named_as_such(tmp_path: Path) -> None:
    text = f'{HEADER}a,"w,{END}\nb,w,{END}\nc,w,{END}\n'

    runs, said = read(write(tmp_path / "runs.csv", text))

    assert said == [
        (
            "runs.csv:2: row: has a quote that is never closed; "
            "close it, or double a quote inside a value"
        )
    ]
    assert [run.run_id for run in runs] == ["b", "c"]


def test_an_open_quote_far_from_the_next_is_found_without_reading_on_for_ever(
    tmp_path: Path,
) -> None:
    rows = "".join(f"r{number},w,{END}\n" for number in range(10_000))

    runs, said = read(write(tmp_path / "runs.csv", f'{HEADER}a,"w,{END}\n{rows}'))

    assert said == [
        "runs.csv:2: row: has a cell of more than 131,072 characters; is a quote not closed?"
    ]
    assert len(runs) == 10_000


def test_rows_of_another_width_are_told_how_many_cells_they_have(tmp_path: Path) -> None:
    text = f"{HEADER}a,w,{END},\nb,w\nc,w,{END}\n"

    runs, said = read(write(tmp_path / "runs.csv", text))

    assert said == [
        (
            "runs.csv:2: row: has 5 cells where the header has 4; "
            "put a value that holds a comma in quotes"
        ),
        "runs.csv:3: row: has 2 cells where the header has 4; are commas missing?",
    ]
    assert [run.run_id for run in runs] == ["c"]


def test_a_cell_that_is_not_utf_8_costs_its_row_and_names_its_field(tmp_path: Path) -> None:
    latin = f"{HEADER}a,café,{END}\n".encode("latin-1") + f"b,café,{END}\n".encode()

    runs, said = read(write(tmp_path / "runs.csv", latin))

    assert said == ["runs.csv:2: workload: is not valid UTF-8 text; save the file as UTF-8"]
    assert [run.workload for run in runs] == ["café"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"run_id": "a"', "is not JSON: Expecting ',' delimiter at character 15"),
        ("[1]", "[1] is not a JSON object; write {…}, one a line"),
        ("null", "None is not a JSON object; write {…}, one a line"),
        (
            '{"gpus": ' + "9" * 5000 + "}",
            "is not JSON that can be read: a number in it is too long",
        ),
        ("[" * 100_000, "is not JSON that can be read: it is nested too deeply"),
    ],
    ids=["cut off", "list", "null", "giant number", "deep"],
)
def test_a_line_that_is_no_json_object_costs_itself_only(
    tmp_path: Path, line: str, why: str
) -> None:
    good = write_jsonl(tmp_path / "runs.jsonl", [row()]).read_text()

    runs, said = read(write(tmp_path / "runs.jsonl", f"{good}{line}\n"))

    assert said == [f"runs.jsonl:2: row: {why}"]
    assert len(runs) == 1


def test_parquet_is_read_in_its_own_types_and_bad_rows_are_numbered(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "runs [1]*.parquet",
        "select 'a' run_id, encode('é') workload, "
        "timestamptz '2026-01-01 00:00:00.25+02' started_at, 'failed' outcome, "
        "8.0::double gpus, 1.25::decimal(9, 2) cost_usd, 0.1::float throughput, "
        "[1] tags, timestamp_ns '2026-01-01 01:02:03.123456789' ended_at "
        "union all select null, encode('é'), null, 'failed', 'nan', -1, null, null, null",
    )

    runs, said = read(path)

    assert [(run.gpus, run.throughput, run.workload) for run in runs] == [(8, 0.1, "é")]
    assert runs[0].cost_usd == Decimal("1.25")
    assert str(runs[0].started_at) == "2025-12-31 22:00:00.250000+00:00"
    assert str(runs[0].ended_at) == "2026-01-01 01:02:03.123456+00:00"
    assert said == [
        (
            "runs [1]*.parquet:2: gpus: 'nan' is not a finite number; "
            "leave it empty where it is unknown"
        ),
        "runs [1]*.parquet:2: cost_usd: '-1.00' is negative",
        "runs [1]*.parquet:2: run_id: empty; every run needs one",
        "runs [1]*.parquet:2: started_at: empty; every run needs one",
    ]
    assert notices(path) == [
        "runs [1]*.parquet: columns that are not known and were not read: tags",
        "runs [1]*.parquet:1: times without a time zone were taken for UTC; write Z behind them",
    ]


def test_a_parquet_path_stands_for_itself_and_is_no_pattern(tmp_path: Path) -> None:
    for name in ("runs[1]", "runs1", "runs*", "runs2"):
        write_parquet(
            tmp_path / f"{name}.parquet",
            f"select '{name}' run_id, 'w' workload, now() - interval 9 year started_at, "
            "'lost' outcome",
        )

    assert ids(tmp_path / "runs[1].parquet") == ["runs[1]"]
    assert ids(tmp_path / "runs*.parquet") == ["runs*"]


def test_a_file_may_be_read_again(tmp_path: Path) -> None:
    file = read_runs(write_csv(tmp_path / "runs.csv", [row(), row(run_id="r2")]), now=NOW)

    assert list(file) == list(file)


def test_money_is_exact_even_as_a_json_number(tmp_path: Path) -> None:
    line = '{"run_id": "a", "workload": "w", "started_at": "2026-01-01T00:00:00Z", '
    line += '"outcome": "lost", "cost_usd": 123456789.123456789}'

    runs, _ = read(write(tmp_path / "runs.jsonl", line))

    assert runs[0].cost_usd == Decimal("123456789.123456789")


def test_unknown_columns_are_passed_over_and_named_once(tmp_path: Path) -> None:
    rows = [row(run_id=f"r{number}", start_at="x", seed=1) for number in range(3)]
    rows[2]["learning_rate"] = 0.1

    assert notices(write_jsonl(tmp_path / "runs.jsonl", rows)) == [
        (
            "runs.jsonl: columns that are not known and were not read: "
            "start_at (did you mean started_at?), seed, learning_rate"
        )
    ]
    assert notices(write(tmp_path / "a.csv", f"run_id,workload,started_at,outcome,\na,w,{END},\n"))
    assert notices(write(tmp_path / "b.csv", f"{HEADER}a,w,{END}\n")) == []


def test_a_time_without_a_zone_is_taken_for_utc_and_said_once(tmp_path: Path) -> None:
    naive = [
        row(run_id=f"r{number}", started_at="2026-01-01 10:00:00", ended_at="2026-01-01T11:00:00")
        for number in range(3)
    ]
    path = write_csv(tmp_path / "runs.csv", [row(run_id="aware"), *naive])

    runs, said = read(path)

    assert said == []
    assert {str(run.started_at) for run in runs[1:]} == {"2026-01-01 10:00:00+00:00"}
    assert notices(path) == [
        "runs.csv:3: times without a time zone were taken for UTC; write Z behind them"
    ]


def test_a_strict_reader_refuses_a_time_without_a_zone(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", [row(started_at="2026-01-01 10:00:00")])

    assert read(path, strict=True) == (
        [],
        [
            (
                "runs.csv:2: started_at: 2026-01-01T10:00:00 has no time zone; "
                "write Z behind it if it is in UTC"
            )
        ],
    )


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"gpus": "8.0"}, 8),
        ({"gpus": " 8 "}, 8),
        ({"gpus": "8e0"}, 8),
        ({"gpus": " "}, None),
        ({"gpus": "0"}, 0),
    ],
)
def test_a_whole_number_may_be_written_as_data_frames_write_it(
    tmp_path: Path, cells: dict[str, object], expected: int | None
) -> None:
    runs, said = read(write_csv(tmp_path / "runs.csv", [row(**cells)]))

    assert said == []
    assert [run.gpus for run in runs] == [expected]


def test_clocks_may_differ_by_five_minutes(tmp_path: Path) -> None:
    cells = {"started_at": "2026-06-01T00:05:00Z", "outcome": "running"}

    runs, said = read(write_csv(tmp_path / "runs.csv", [row(**cells)]))

    assert said == []
    assert runs[0].outcome is RunOutcome.RUNNING


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("runs.csv", "", "runs.csv: is empty; its first line has to name the columns"),
        ("runs.csv", "\n\n", "runs.csv: is empty; its first line has to name the columns"),
        ("runs.jsonl", "", "runs.jsonl: is empty; write one JSON object a line"),
        ("runs.jsonl", "[\n{}\n]", "runs.jsonl: is a JSON array; write one object a line, "),
        (
            "runs.csv",
            "run_id,work_load,start,status\n",
            (
                "runs.csv:1: missing columns: workload, started_at, outcome; "
                "the file has: run_id, work_load, start, status. Rename work_load to workload?"
            ),
        ),
        (
            "runs.csv",
            "run_id;workload;started_at;outcome\n",
            (
                "runs.csv:1: missing columns: run_id, workload, started_at, outcome; the file has: "
                "run_id;workload;started_at;outcome. "
                "Its columns are separated by semicolons; separate them by commas"
            ),
        ),
        ("runs.csv", f"gpus,gpus,{HEADER}", "runs.csv:1: two columns are called gpus; rename one"),
        ("runs.csv", HEADER.encode("utf-16"), "runs.csv: is UTF-16; save it as UTF-8"),
        (
            "runs.csv",
            HEADER.replace("\n", "\r") + "a",
            "runs.csv:1: the header has a carriage return outside quotes; end lines with LF ",
        ),
        (
            "runs.csv",
            '"run_id,workload\n',
            (
                "runs.csv:1: the header has a quote that is never closed; "
                "close it, or double a quote inside a value"
            ),
        ),
        ("runs.csv", "x" * (2**24 + 1), "runs.csv:1: the line is longer than 16 MiB; "),
        (
            "runs.csv.gz",
            gzip.compress(HEADER.encode() * 500)[:-20],
            "runs.csv.gz: the gzip data is damaged after line ",
        ),
        ("runs.csv", b"\x1f\x8bno", "runs.csv: the gzip data is damaged after line 0: "),
        ("runs.parquet", "PAR1", "runs.parquet: cannot be read as Parquet: "),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_says_why(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    path = write(tmp_path / name, text)

    with pytest.raises(RunFileError) as caught:
        list(read_runs(path, now=NOW))

    message = str(caught.value).replace(f"{tmp_path}/", "")
    assert message.startswith(said)
    assert "\n" not in message
    assert caught.value.exit_code == 1


def test_parquet_with_a_missing_or_a_nested_column_is_refused(tmp_path: Path) -> None:
    missing = write_parquet(tmp_path / "a.parquet", "select 'a' run_id, 'w' workload")
    nested = write_parquet(
        tmp_path / "b.parquet",
        "select 'a' run_id, 'w' workload, now() started_at, 'lost' outcome, ['m'] machine_id",
    )

    with pytest.raises(RunFileError, match=r"a\.parquet: missing columns: started_at, outcome; "):
        list(read_runs(missing, now=NOW))
    with pytest.raises(
        RunFileError, match=r"column machine_id holds VARCHAR\[\]; write one value in each cell"
    ):
        list(read_runs(nested, now=NOW))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.csv", "nowhere.csv: does not exist"),
        ("folder.csv", "folder.csv: is a folder; name the files in it"),
        (
            "notes.txt",
            (
                "notes.txt: is not a run file; its name has to end in "
                ".csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz, .ndjson.gz, .parquet"
            ),
        ),
    ],
)
def test_a_path_that_is_no_run_file_is_a_usage_error(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "notes.txt").touch()

    with pytest.raises(RunPathError) as caught:
        read_runs(tmp_path / name, now=NOW)

    assert str(caught.value).replace(f"{tmp_path}/", "") == said
    assert caught.value.exit_code == 2
