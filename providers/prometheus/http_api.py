"""The one call of Prometheus' HTTP API that is needed, and everything that may come back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

POINTS_AT_MOST = 11_000
"""Points a series in one answer; Prometheus refuses more."""
TOLD_AT_MOST = 200
CHUNK = 1 << 20


class PrometheusError(Exception):
    """A question that Prometheus did not answer. The message says why, in one line."""


class PrometheusUnreachable(PrometheusError):  # noqa: N818 - a state, not a refusal
    """Nothing can be asked there now, so further questions are not worth their time-outs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSeries:
    """One series of an answer; `points` are `[seconds, "value"]`, as they came."""

    labels: Mapping[str, str]
    points: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    series: tuple[RangeSeries, ...]
    warnings: tuple[str, ...] = ()
    """What Prometheus itself calls incomplete: a store behind it that did not answer."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PrometheusApi:
    """Asks one server. `timeout_s` is for a whole answer, however slowly it drips in."""

    def __init__(
        self, url: str, *, timeout_s: float, clock: Callable[[], datetime] = _utc_now
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._clock = clock
        self.calls = 0
        self.clock_ahead_s: float | None = None
        """How far the server's clock is ahead of this one; None where it does not tell."""

    @property
    def place(self) -> str:
        return urlsplit(self._url).netloc

    def query_range(self, expression: str, *, first_s: float, last_s: float, step_s: int) -> Answer:
        """The expression's value at `first_s`, `first_s + step_s`, … `last_s` (Unix seconds)."""
        asked = {
            "query": expression,
            "start": f"{first_s:.3f}",
            "end": f"{last_s:.3f}",
            "step": str(step_s),
        }
        return _answer(self._got(f"{self._url}/api/v1/query_range?{urlencode(asked)}"))

    def _got(self, url: str) -> bytes:
        self.calls += 1
        request = Request(url, headers={"Accept": "application/json"})  # noqa: S310 - http(s) only
        deadline = time.monotonic() + self._timeout_s
        try:
            with urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310
                self._note_clock(response.headers.get("Date"))
                return _whole(response, deadline)
        except HTTPError as error:
            with error:
                raise PrometheusError(f"HTTP {error.code}: {_refusal(error)}") from None
        except TimeoutError:
            raise PrometheusUnreachable(f"no answer within {self._timeout_s:g} s") from None
        except URLError as error:
            if isinstance(error.reason, TimeoutError):
                why = f"no answer within {self._timeout_s:g} s"
                raise PrometheusUnreachable(why) from None
            raise PrometheusUnreachable(f"cannot be reached: {one_line(error.reason)}") from None
        except (OSError, HTTPException) as error:
            raise PrometheusUnreachable(f"the connection broke: {one_line(error)}") from None

    def _note_clock(self, told: str | None) -> None:
        try:
            there = parsedate_to_datetime(told or "")
        except ValueError:
            return
        if there.tzinfo is not None:
            self.clock_ahead_s = (there - self._clock()).total_seconds()


def _whole(response: HTTPResponse, deadline: float) -> bytes:
    parts = []
    while part := response.read1(CHUNK):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


def _answer(body: bytes) -> Answer:
    """Raises `PrometheusError` for everything that is not a whole, successful answer."""
    told = _parsed(body)
    if told.get("status") != "success":
        why = one_line(told.get("error") or "no status in the answer")
        raise PrometheusError(f"it says: {why}")
    data = told.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "matrix":
        raise PrometheusError("the answer holds no series: is this a Prometheus?")
    try:
        series = tuple(_series(each) for each in data["result"])
    except (KeyError, TypeError):
        raise PrometheusError("a series in the answer cannot be understood") from None
    return Answer(series=series, warnings=tuple(map(one_line, told.get("warnings") or ())))


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise PrometheusError("the answer is not JSON, or was cut off") from None
    if not isinstance(told, dict):
        raise PrometheusError("the answer is not Prometheus' JSON")
    return told


def _series(row: Mapping[str, Any]) -> RangeSeries:
    labels, points = row["metric"], row["values"]
    if not isinstance(labels, dict) or not isinstance(points, list):
        raise TypeError
    return RangeSeries(labels=labels, points=points)


def _refusal(error: HTTPError) -> str:
    """Prometheus' own sentence where the body holds one, else the server's."""
    try:
        told = json.loads(error.read(CHUNK))
        return one_line(told["error"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        return one_line(error.reason)


def one_line(told: object) -> str:
    return " ".join(str(told).split())[:TOLD_AT_MOST]
