"""The few calls of MLflow's REST API that reading runs takes, and everything that may come back."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from providers.base import RunSourceError

API = "/api/2.0/mlflow"
TIMEOUT_S = 60.0
PAUSES_S = (0.5, 2.0, 5.0)
"""Before each further try."""
RUNS_A_PAGE = 1_000
EXPERIMENTS_A_PAGE = 1_000
POINTS_A_PAGE = 25_000
TOLD_AT_MOST = 300
AGAIN = frozenset({429, 500, 502, 503, 504})
SIGN_IN = frozenset({401, 403})


class _AgainError(Exception):
    """Worth another try."""


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would carry the password to whoever is named there."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        del req, fp, code, msg, headers, newurl


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """As MLflow's own variables tell it: a token, or a name and a password."""

    username: str | None = None
    password: str | None = None
    token: str | None = None
    ca_file: str | None = None

    @property
    def header(self) -> str | None:
        if self.username is not None:
            pair = f"{self.username}:{self.password or ''}".encode()
            return f"Basic {base64.b64encode(pair).decode('ascii')}"
        return f"Bearer {self.token}" if self.token else None


def login_from(environ: Mapping[str, str]) -> Login:
    return Login(
        username=environ.get("MLFLOW_TRACKING_USERNAME") or None,
        password=environ.get("MLFLOW_TRACKING_PASSWORD") or None,
        token=environ.get("MLFLOW_TRACKING_TOKEN") or None,
        ca_file=environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None,
    )


class MlflowApi:
    """Asks one server. Every failure is a `RunSourceError` of one line."""

    def __init__(self, url: str, login: Login, pause: Callable[[float], None] = time.sleep) -> None:
        """A name and a password in the URL are the login; they stand in no message."""
        parts = urlsplit(url)
        if parts.username is not None:
            login = Login(
                username=unquote(parts.username),
                password=unquote(parts.password or ""),
                ca_file=login.ca_file,
            )
        place = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
        self._login = login
        self._pause = pause
        handlers: list[Any] = [_NoRedirects()]
        if login.ca_file is not None:
            handlers.append(HTTPSHandler(context=self._trusting(login.ca_file)))
        self._opener = build_opener(*handlers)

    def experiments(self) -> Iterator[Mapping[str, Any]]:
        """All, deleted ones too."""
        asked = {"max_results": EXPERIMENTS_A_PAGE, "view_type": "ALL"}
        return self._pages("/experiments/search", asked, "experiments")

    def runs(self, experiments: Sequence[str], condition: str) -> Iterator[Mapping[str, Any]]:
        """Deleted ones too, oldest first, so that what is added meanwhile comes last."""
        asked = {
            "experiment_ids": list(experiments),
            "filter": condition,
            "run_view_type": "ALL",
            "max_results": RUNS_A_PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        return self._pages("/runs/search", asked, "runs")

    def history(self, run_id: str, metric: str) -> Iterator[Mapping[str, Any]]:
        asked = {"run_id": run_id, "metric_key": metric, "max_results": POINTS_A_PAGE}
        token = ""
        while True:
            page = {**asked, "page_token": token} if token else asked
            answer = self._asked(f"/metrics/get-history?{urlencode(page)}", None)
            yield from _list(answer, "metrics")
            token = self._next(answer, token)
            if not token:
                return

    def _pages(self, path: str, asked: Mapping[str, Any], what: str) -> Iterator[Mapping[str, Any]]:
        token = ""
        while True:
            page = {**asked, "page_token": token} if token else asked
            answer = self._asked(path, page)
            yield from _list(answer, what)
            token = self._next(answer, token)
            if not token:
                return

    def _next(self, answer: Mapping[str, Any], token: str) -> str:
        following = str(answer.get("next_page_token") or "")
        if following and following == token:
            raise RunSourceError(f"mlflow {self.url}: the server's pages never end")
        return following

    def _asked(self, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        for pause_s in PAUSES_S:
            try:
                return self._parsed(self._got(path, body))
            except _AgainError:
                self._pause(pause_s)
        try:
            return self._parsed(self._got(path, body))
        except _AgainError as error:
            raise RunSourceError(f"mlflow {self.url}: {error}") from None

    def _got(self, path: str, body: Mapping[str, Any] | None) -> bytes:
        request = Request(self.url + API + path, headers=self._headers())  # noqa: S310 - http(s)
        if body is not None:
            request.data = json.dumps(body).encode()
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                content: bytes = response.read()
                return content
        except HTTPError as error:
            with error:
                self._refused(error)
        except TimeoutError:
            raise _AgainError(f"no answer within {TIMEOUT_S:g} s") from None
        except URLError as error:
            raise _AgainError(f"cannot be reached: {_one_line(error.reason)}") from None
        except (OSError, HTTPException) as error:
            raise _AgainError(f"the connection broke: {_one_line(error)}") from None
        raise AssertionError("an error was told")

    def _headers(self) -> dict[str, str]:
        told = {"Accept": "application/json", "Content-Type": "application/json"}
        login = self._login.header
        return told if login is None else {**told, "Authorization": login}

    def _refused(self, error: HTTPError) -> None:
        why = f"HTTP {error.code}: {_refusal(error)}"
        if error.code in AGAIN:
            raise _AgainError(why)
        if error.code in SIGN_IN:
            why += (
                "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,"
                " or MLFLOW_TRACKING_TOKEN"
            )
        if 300 <= error.code < 400:  # noqa: PLR2004 - redirects
            why = f"it redirects to {_one_line(error.headers.get('Location'))}; name that instead"
        raise RunSourceError(f"mlflow {self.url}: {why}")

    def _parsed(self, content: bytes) -> Mapping[str, Any]:
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise RunSourceError(
                f"mlflow {self.url}: the answer is not MLflow's JSON; is this a tracking server?"
            )
        return told

    def _trusting(self, ca_file: str) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise RunSourceError(
                f"MLFLOW_TRACKING_SERVER_CERT_PATH: {ca_file} cannot be used: {_one_line(error)}"
            ) from None


def _list(answer: Mapping[str, Any], what: str) -> Sequence[Mapping[str, Any]]:
    """Where nothing was found the name is absent."""
    found = answer.get(what) or ()
    return [each for each in found if isinstance(each, dict)]


def _refusal(error: HTTPError) -> str:
    """MLflow's own sentence where the body holds one, else the server's."""
    try:
        told = json.loads(error.read(1 << 20))
        return _one_line(told["message"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        return _one_line(error.reason)


def _one_line(told: object) -> str:
    return " ".join(str(told).split())[:TOLD_AT_MOST]
