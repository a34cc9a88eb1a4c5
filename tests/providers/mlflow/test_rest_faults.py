"""A tracking server that answers wrongly, slowly or not at all: one clear line, and no password."""

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from policies.facts import Run
from providers.base import RunsAsked, RunSourceError
from providers.mlflow.rest import Login, MlflowApi, login_from
from providers.mlflow.server import MlflowServer

Answer = tuple[int, object]


class Tracking:
    """Answers by path; keeps what it was asked."""

    def __init__(self, answer: Callable[[str, Any], Answer]) -> None:
        self.asked: list[tuple[str, Any, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body, self.headers.get("Authorization")))
                status, told = answer(self.path, body)
                content = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://elsewhere.invalid/")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


def read(url: str, pauses: list[float], login: Login = Login()) -> list[Any]:  # noqa: B008 - frozen
    api = MlflowApi(url, login, pause=pauses.append)
    return list(MlflowServer(api).runs(RunsAsked(since=None)))


RUN = {
    "info": {"run_id": "a", "experiment_id": "0", "status": "FINISHED", "start_time": 1767229200000}
}


def whole(path: str, body: Any) -> Answer:
    if path.endswith("/experiments/search"):
        return 200, {"experiments": [{"experiment_id": "0", "name": "nlp"}]}
    return 200, {"runs": [RUN]}


def test_a_server_that_is_busy_is_asked_again(pauses: list[float]) -> None:
    left = [503, 429, 200]

    def busy(path: str, body: Any) -> Answer:
        status = left.pop(0) if left else 200
        return (status, {"message": "busy"}) if status != 200 else whole(path, body)

    with Tracking(busy) as tracking:
        [run] = read(tracking.url, pauses)
    assert isinstance(run, Run)
    assert run.workload == "nlp"
    assert pauses == [0.5, 2.0]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {"message": "the database is gone"}), "HTTP 500: the database is gone"),
        ((404, b"<html>"), "HTTP 404: Not Found"),
        ((403, {"message": "Invalid Host header"}), "HTTP 403: Invalid Host header; set MLFLOW"),
        ((401, b""), "HTTP 401: Unauthorized; set MLFLOW_TRACKING_USERNAME"),
        ((302, b""), "redirects to http://elsewhere.invalid/; name that instead"),
        ((200, b"<html>"), "not MLflow's JSON"),
        ((200, b"[]"), "not MLflow's JSON"),
        ((200, {"experiments": [], "next_page_token": "same"}), "pages never end"),
    ],
)
def test_what_goes_wrong_is_one_line(pauses: list[float], answer: Answer, message: str) -> None:
    with Tracking(lambda path, body: answer) as tracking:
        url = tracking.url.replace("http://", "http://ana:secret@")
        with pytest.raises(RunSourceError, match=message) as caught:
            read(url, pauses)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there(pauses: list[float]) -> None:
    with Tracking(whole) as tracking:
        url = tracking.url
    with pytest.raises(RunSourceError, match="cannot be reached"):
        read(url, pauses)
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("environ", "header"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "t"}, "Bearer t"),
        (
            {"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": "pw"},
            f"Basic {base64.b64encode(b'ana:pw').decode()}",
        ),
    ],
)
def test_the_login_is_that_of_mlflows_variables(
    pauses: list[float], environ: dict[str, str], header: str | None
) -> None:
    with Tracking(whole) as tracking:
        read(tracking.url, pauses, login_from(environ))
        assert {authorization for _, _, authorization in tracking.asked} == {header}


def test_a_server_without_any_run(pauses: list[float]) -> None:
    with Tracking(lambda path, body: (200, {})) as tracking:
        assert read(tracking.url, pauses) == []


def test_a_run_without_a_start_is_told_and_the_others_enter(pauses: list[float]) -> None:
    broken = {"info": {"run_id": "b", "experiment_id": "0", "status": "FINISHED"}}

    def answer(path: str, body: Any) -> Answer:
        if path.endswith("/runs/search"):
            return 200, {"runs": [broken, RUN]}
        return whole(path, body)

    with Tracking(answer) as tracking:
        problem, run = read(tracking.url, pauses)
        assert str(problem).startswith(f"mlflow:{tracking.url}: run b: start_time: missing")
    assert run.run_id == "mlflow:a"
