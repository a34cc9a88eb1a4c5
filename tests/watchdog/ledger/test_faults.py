"""What goes wrong with a store, for real: one clear line, nothing half-written, nothing lost."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.ledger.conftest import BUCKET
from tests.watchdog.ledger.facts import NOW, event, reading
from watchdog.ledger.failures import explained
from watchdog.ledger.store import Ledger, LedgerError

MANY = [event(f"{n}", detail_json=os.urandom(100).hex()) for n in range(3000)]


@contextmanager
def refused(said: str) -> Iterator[None]:
    with pytest.raises(LedgerError) as refusal:
        yield
    text = str(refusal.value)
    assert said in text
    assert "\n" not in text
    assert len(text) < 400
    assert refusal.value.exit_code == 1


@contextmanager
def mounted(*options: str) -> Iterator[None]:
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this host lets nobody mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", options[-1]], check=True)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with refused("a file lies where its folder should be"):
        Ledger.open(str(tmp_path / "file"))
    with refused("a file lies where its folder should be"):
        Ledger.open(str(tmp_path / "file" / "ledger"))
    with refused("this is a file, not a folder"):
        Ledger.open(str(tmp_path / "file"), read_only=True).rows("runs")


def test_a_file_where_a_table_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")

    with refused("runs/_delta_log/00000000000000000000.json cannot be written: a file lies where"):
        Ledger.open(str(tmp_path))


def test_no_ledger_there(tmp_path: Path) -> None:
    absent = Ledger.open(str(tmp_path / "absent"), read_only=True)

    assert not absent.exists()
    assert absent.rows("runs") == []
    assert absent.rows("breakdown", by="day", since=NOW, until=NOW) == []
    assert set(absent.info()["rows"]) == {0}
    assert absent.export("runs", tmp_path / "runs.csv", "csv") == 0
    with refused("there is none yet"):
        absent.objects("inbox")
    with refused("it was opened for reading"):
        absent.compact()
    assert not (tmp_path / "absent").exists()


def test_a_folder_of_something_else_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"x")
    other = Ledger.open(str(tmp_path), read_only=True)

    assert not other.exists()
    assert other.rows("runs") == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["photos"]


def test_a_table_that_an_older_version_did_not_make_reads_as_empty(ledger: Ledger) -> None:
    ledger.append("events", [event()])
    shutil.rmtree(Path(ledger.url) / "charges")
    reader = Ledger.open(ledger.url, read_only=True)

    assert reader.exists()
    assert (len(reader.rows("events")), reader.rows("charges")) == (1, [])


def test_a_ledger_that_was_opened_for_reading(ledger: Ledger) -> None:
    ledger.append("events", [event()])
    reader = Ledger.open(ledger.url, read_only=True)

    assert len(reader.rows("events")) == 1
    writes: list[Callable[[], object]] = [
        lambda: reader.append("events", [event()]),
        lambda: reader.put_once("a", b""),
        reader.fold_inbox,
        reader.compact,
    ]
    for write in writes:
        with refused("it was opened for reading"):
            write()


def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    Ledger.open(str(place)).append("events", [event()])
    with mounted("--bind", str(place), str(place)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        ledger = Ledger.open(str(place))

        assert len(ledger.rows("events")) == 1
        for write in (
            lambda: ledger.append("events", [event("2")]),
            lambda: ledger.put_once("claims/a", b""),
            lambda: ledger.drop_in_inbox("events", [event()]),
            ledger.compact,
        ):
            with refused("its disk is read-only: mount it for writing, or name another ledger"):
                write()
    assert len(Ledger.open(str(place)).rows("events")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_somebody_else() -> None:
    nobody = 65534
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Path(folder) / "ledger"
        Ledger.open(str(place)).append("events", [event()])
        os.seteuid(nobody)
        try:
            ledger = Ledger.open(str(place))
            assert len(ledger.rows("events")) == 1
            writes: list[Callable[[], object]] = [
                lambda: ledger.append("events", [event("2")]),
                lambda: ledger.put_once("claims/a", b""),
                lambda: ledger.drop_in_inbox("events", [event()]),
                lambda: Ledger.open(str(Path(folder) / "mine")),
            ]
            for write in writes:
                with refused("the system does not allow it: check who owns the folder"):
                    write()
        finally:
            os.seteuid(0)
        (place / "events").chmod(0o700)
        os.seteuid(nobody)
        try:
            with refused("the system does not allow it"):
                Ledger.open(str(place), read_only=True).rows("events")
        finally:
            os.seteuid(0)


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)):
        ledger = Ledger.open(str(place / "ledger"))
        ledger.append("events", [event()])

        with refused("the disk is full; nothing was added: free some space"):
            ledger.append("events", MANY)
        with refused("the disk is full"):
            ledger.put_once("claims/a", b"x" * 400_000)

        assert len(ledger.rows("events")) == 1
        ledger.append("events", [event("2")])
        assert len(ledger.rows("raw_events")) == 2
        days = [reading(60 * 24 * n, workload=os.urandom(40_000).hex()) for n in range(9)]
        with refused("the disk is full"):
            ledger.append("readings", days)
        assert len(list((place / "ledger").rglob("*.parquet"))) == 2


def test_a_full_disk_prints_its_one_line_alone(tmp_path: Path) -> None:
    """No panic of a library beside it."""
    ledger = Ledger.open(str(tmp_path / "ledger"))
    code = (
        "import resource, sys\n"
        "from tests.watchdog.ledger.test_faults import MANY\n"
        "from watchdog.ledger.store import Ledger, LedgerError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try:\n"
        "    Ledger.open(sys.argv[1]).append('events', MANY)\n"
        "except LedgerError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ledger.url], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert "the disk is full; nothing was added" in done.stdout
    assert ledger.rows("events") == []


def cut(path: Path, to: int) -> None:
    os.truncate(path, to)


@pytest.fixture
def events(ledger: Ledger) -> Path:
    """The folder of a table with two commits."""
    ledger.append("events", [event()])
    ledger.append("events", [event("2")])
    return Path(ledger.url) / "events"


@pytest.mark.parametrize("to", [0, 100])
def test_a_commit_that_was_cut_off(events: Path, to: int) -> None:
    last = events / "_delta_log/00000000000000000002.json"
    cut(last, to)
    ledger = Ledger.open(str(events.parent))

    said = "table events: events/_delta_log/00000000000000000002.json is half-written"
    for ask in (
        lambda: ledger.rows("events"),
        lambda: ledger.append("events", [event("3")]),
        ledger.compact,
        ledger.info,
    ):
        with refused(said):
            ask()
    assert ledger.rows("runs") == []

    last.rename(events.parent / "aside.json")
    assert [row["n"] for row in ledger.rows("events")] == ["finding/1"]
    ledger.append("events", [event("2")])
    assert len(Ledger.open(str(events.parent)).rows("events")) == 2


def test_a_cut_commit_is_seen_by_those_who_had_the_table_open(ledger: Ledger, events: Path) -> None:
    assert len(ledger.rows("events")) == 2
    (events / "_delta_log/00000000000000000003.json").write_bytes(b'{"commitInfo":{')

    with refused("00000000000000000003.json is half-written"):
        ledger.append("events", [event("3")])


def test_a_commit_in_the_middle_that_is_damaged(events: Path) -> None:
    cut(events / "_delta_log/00000000000000000001.json", 100)

    with refused(
        "events/_delta_log/00000000000000000001.json is damaged: restore it from a backup"
    ):
        Ledger.open(str(events.parent)).rows("events")


def test_a_log_that_lacks_its_beginning_or_is_gone(events: Path) -> None:
    (events / "_delta_log/00000000000000000000.json").unlink()
    with refused("its log is damaged"):
        Ledger.open(str(events.parent)).rows("events")

    for file in (events / "_delta_log").iterdir():
        file.unlink()
    with refused("its log is gone: restore events/_delta_log from a backup"):
        Ledger.open(str(events.parent)).rows("events")


@pytest.mark.parametrize("to", [None, 0, 300])
def test_a_data_file_that_is_missing_or_cut_off(events: Path, to: int | None) -> None:
    part = min(events.glob("*.parquet"))
    if to is None:
        part.unlink()
    else:
        cut(part, to)
    ledger = Ledger.open(str(events.parent))

    for ask in (lambda: ledger.rows("events"), ledger.compact, ledger.info):
        with refused("a data file is missing or cut off: restore it from a backup"):
            ask()
    ledger.append("events", [event("3")])


def test_a_table_of_another_version(ledger: Ledger, events: Path) -> None:
    first = events / "_delta_log/00000000000000000000.json"
    first.write_text(first.read_text(encoding="utf-8").replace("detail_json", "details"))

    with refused("was made by another version of the watchdog: it differs in detail_json, details"):
        Ledger.open(ledger.url).rows("events")


@pytest.mark.parametrize(
    "url", ["ftp://x/y", "http://x/y", "s3://", "s3:///x", "gs://b?x=1", "", "file://host/x"]
)
def test_an_address_that_can_be_none(url: str) -> None:
    with pytest.raises(LedgerError, match="name a folder, file:///…, s3://bucket/…, ") as wrong:
        Ledger.open(url)
    assert wrong.value.exit_code == 2


@pytest.mark.parametrize("name", ["a[b", "a]b", "a^b", "a|b", "a\\b", "a%20b", "a\nb"])
def test_a_folder_whose_name_the_library_cannot_bear(tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerError, match="cannot hold a ledger; choose another"):
        Ledger.open(str(tmp_path / name))


@pytest.mark.parametrize(
    "name",
    ["a b", "ü日", "a=b", "date=2020-01-01", "50%", "a'b", 'a"b', "a*b", "a?b", "a#b", "{a}"],
)
def test_a_folder_with_an_unusual_name(tmp_path: Path, name: str) -> None:
    place = tmp_path / name / "ledger"
    for _ in range(2):
        ledger = Ledger.open(str(place))
        ledger.append("readings", [reading(), reading(60 * 24)])
        ledger.put_once("a/b", b"x")
    today = ledger.rows("readings_of", since=NOW.replace(hour=0))
    assert [str(row["date"]) for row in today] == ["2026-11-23"]
    ledger.compact()

    found = Ledger.open(place.as_uri()).rows("readings")
    assert sorted(str(row["date"]) for row in found) == ["2026-11-22", "2026-11-23"]
    assert {file.parent.name for file in place.glob("readings/*/compact*")} == {
        "date=2026-11-22",
        "date=2026-11-23",
    }


ONLY_HERE = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def ways_of_asking(url: str, **options: str) -> list[Callable[[], object]]:
    reader = Ledger.open(url, read_only=True, storage_options=options)
    return [
        lambda: Ledger.open(url, storage_options=options),
        lambda: reader.rows("runs"),
        lambda: reader.drop_in_inbox("events", [event()]),
        lambda: reader.objects("inbox"),
    ]


def test_a_bucket_that_refuses_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        for name, value in ONLY_HERE.items():
            monkeypatch.setenv(name, value)

        for ask in ways_of_asking("s3://bucket/ledger"):
            with refused("it cannot be reached: check the network, the URL and any endpoint"):
                ask()


def test_a_bucket_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name, value in ONLY_HERE.items():
            monkeypatch.setenv(name, value)

        for ask in ways_of_asking("s3://bucket/ledger", timeout="500ms", max_retries="0"):
            with refused("it cannot be reached"):
                ask()


def test_a_bucket_that_does_not_exist(s3: AwsServer) -> None:
    for ask in ways_of_asking("s3://nobody-s/ledger"):
        with refused("there is no such bucket: create it, or correct the ledger's URL"):
            ask()


def test_a_bucket_without_a_ledger(s3: AwsServer) -> None:
    reader = Ledger.open(f"s3://{BUCKET}/led", read_only=True)

    assert not reader.exists()
    assert reader.rows("runs") == []


def test_a_bucket_that_refuses_us(s3: AwsServer) -> None:
    denied = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    s3.answer(None, denied, status=403)

    for ask in ways_of_asking(f"s3://{BUCKET}/ledger"):
        with refused("access was refused: check the credentials"):
            ask()


def test_a_bucket_that_fails_for_a_while(s3: AwsServer) -> None:
    ledger = Ledger.open(f"s3://{BUCKET}/ledger")
    s3.fail(None, status=503, times=2)

    ledger.append("events", [event()])

    assert len(ledger.rows("events")) == 1


def test_no_credentials_for_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with refused("no AWS credentials were found: sign in (`aws sso login`, `aws configure`)"):
        Ledger.open("s3://bucket/ledger")

    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with refused("The config profile (nobody) could not be found"):
        Ledger.open("s3://bucket/ledger")


def test_an_azure_container_without_its_account() -> None:
    with refused("say which storage account: set AZURE_STORAGE_ACCOUNT_NAME"):
        Ledger.open("az://container/ledger")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Failed to commit transaction: 15", "too many others were writing at the same time"),
        ("\x1b[31m↳\x1b[0m Something\n   0: <unknown>\n   1: <unknown>", "Something"),
        ("Odd\n\nDebug source:\nOdd {\n}", "Odd"),
        ("x" * 1000, "x" * 160 + " …"),
    ],
)
def test_what_a_library_says_becomes_one_line(said: str, told: str) -> None:
    assert explained(Exception(said)).startswith(told)
    assert "\n" not in explained(Exception(said))
