"""Whatever a Prometheus answers instead of an answer, it is one clear gap and no number."""

import socket
import time
from http.server import BaseHTTPRequestHandler
from math import isnan

import pytest

from policies.facts import Reading
from providers.base import Seen
from providers.prometheus.usage import PrometheusUsage
from tests.providers.prometheus.faulty_server import Write, answering, raw, success, told
from tests.providers.prometheus.fleet import BUSY, ENGINE, FINE, SINCE, UTIL

FIRST = SINCE.timestamp() + 299.999


def asked(write: Write, **how: float) -> Seen[Reading]:
    with answering(write) as url:
        return PrometheusUsage(url, **how).readings([BUSY], FINE)  # type: ignore[arg-type]


def series(*values: str, **labels: str) -> dict[str, object]:
    return {
        "metric": {"instance": "10.0.0.1:9400", "gpu": "0", "statistic": "max", **labels},
        "values": [[FIRST + 300 * index, value] for index, value in enumerate(values)],
    }


def only(metric: str, *found: dict[str, object]) -> Write:
    """These series for one metric and none for the others."""

    def write(handler: BaseHTTPRequestHandler, expression: str) -> None:
        told(success(*found) if metric in expression else success())(handler, expression)

    return write


def one_gap(seen: Seen[Reading]) -> str:
    assert not seen.values
    (gap,) = seen.gaps
    assert (gap.provider, gap.what) == ("prometheus", "GPU metrics")
    assert gap.why.startswith("Prometheus at 127.0.0.1:")
    assert "\n" not in gap.why
    return gap.why


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (
            told({"status": "error", "errorType": "execution", "error": "out of\nmemory"}),
            "it says: out of memory",
        ),
        (
            told({"status": "error", "error": "too many samples"}, status=422),
            "HTTP 422: too many samples",
        ),
        (raw(b"<html>Bad Gateway</html>", status=502), "HTTP 502: Bad Gateway"),
        (raw(b"", status=401), "HTTP 401: Unauthorized"),
        (raw(b'{"status":"success","data":{"resultTy'), "not JSON, or was cut off"),
        (raw(b'{"status":"success","da', promised=999), "not JSON, or was cut off"),
        (raw(b"<html>Sign in</html>"), "not JSON, or was cut off"),
        (raw(b"[" * 100_000), "not JSON, or was cut off"),
        (told([1, 2]), "not Prometheus' JSON"),
        (told({"hello": "world"}), "no status in the answer"),
        (told({"status": "success"}), "holds no series"),
        (told({"status": "success", "data": {"resultType": "matrix"}}), "cannot be understood"),
        (told(success({"metric": {}})), "cannot be understood"),
        (told(success(series("ninety"))), "a value in the answer is no number"),
        (told(success({**series(), "values": [1, 2]})), "a value in the answer is no number"),
    ],
)
def test_an_answer_that_is_none_is_one_gap(write: Write, why: str) -> None:
    assert why in one_gap(asked(write))


def test_a_server_that_is_not_there_is_asked_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    usage = PrometheusUsage(f"http://127.0.0.1:{port}")
    why = one_gap(usage.readings([BUSY], FINE))
    assert "cannot be reached" in why
    assert usage.api_calls() == {"prometheus:query_range": 1}


def test_a_server_that_is_silent_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        usage = PrometheusUsage(f"http://127.0.0.1:{port}", timeout_s=0.2)
        assert "no answer within 0.2 s" in one_gap(usage.readings([BUSY], FINE))


def test_an_answer_that_drips_is_given_up_as_a_whole() -> None:
    def drip(handler: BaseHTTPRequestHandler, expression: str) -> None:
        handler.send_response_only(200)
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b" ")
                time.sleep(0.05)
        except OSError:
            return

    began = time.monotonic()
    assert "no answer within 0.3 s" in one_gap(asked(drip, timeout_s=0.3))
    assert time.monotonic() - began < 3


def test_values_that_are_no_measurement_are_unknown() -> None:
    odd = ["50", "NaN", "+Inf", "-1", "2147483632", "60"]
    seen = asked(told(success(series(*odd))))
    (reading,) = seen.values
    measured = {i: v for i, v in enumerate(reading.utilisation_max_pct) if not isnan(v)}
    assert measured == {0: 50.0, 5: 60.0}


def test_one_metric_that_is_refused_leaves_the_others() -> None:
    def all_but_one(handler: BaseHTTPRequestHandler, expression: str) -> None:
        if ENGINE in expression:
            return told({"status": "error", "error": "no"}, status=422)(handler, expression)
        found = [series("9")] if UTIL in expression else []
        return told(success(*found))(handler, expression)

    seen = asked(all_but_one)
    assert seen.values[0].utilisation_max_pct[0] == 9.0
    (gap,) = seen.gaps
    assert gap.why.endswith(f"{ENGINE}: HTTP 422: no")


def test_what_the_server_itself_calls_incomplete_is_told() -> None:
    seen = asked(told(success(series("9"), warnings=["store 10.1.1.1 did not answer"])))
    assert seen.values
    assert "incomplete: store 10.1.1.1 did not answer" in seen.gaps[0].why


@pytest.mark.parametrize(("ahead_s", "where"), [(300.0, "ahead of"), (-300.0, "behind")])
def test_clocks_that_differ_by_minutes_are_told(ahead_s: float, where: str) -> None:
    seen = asked(told(success(series("9")), ahead_s=ahead_s))
    (gap,) = seen.gaps
    assert f"its clock is 5 minutes {where} this machine's" in gap.why


def test_series_that_do_not_say_which_gpu_they_are_of_are_not_used() -> None:
    nameless = {**series("0"), "metric": {"instance": "10.0.0.1:9400", "statistic": "max"}}
    assert "neither a label gpu nor UUID" in one_gap(asked(told(success(nameless))))


def test_a_gpu_of_which_only_memory_is_told_is_there_and_unknown() -> None:
    seen = asked(only("DCGM_FI_DEV_FB_USED", series("100")))
    (reading,) = seen.values
    assert reading.coverage == 0.0
    assert "knows no DCGM_FI_DEV_GPU_UTIL" in seen.gaps[0].why


def test_two_exporters_of_one_gpu_are_one_and_the_busier_is_believed() -> None:
    first, second = series("10", "NaN", "0"), series("0", "20", "30", pod="second")
    (reading,) = asked(only(UTIL, first, second)).values
    assert list(reading.utilisation_max_pct[:3]) == [10.0, 20.0, 30.0]
