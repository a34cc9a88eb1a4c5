"""The cards at home, and whether the next run fits them."""

from datetime import timedelta

import pytest

from policies.facts import Run, RunCause, RunOutcome
from policies.next_run import next_run
from providers.base import ProviderUnavailable
from providers.local.nvml import Device, Sample
from tests.builders import NOW, run
from watchdog.home_cards import HERE, HomeCards, fit_told, home_cards


def two_cards() -> Sample:
    devices = tuple(
        Device(board=n, id=str(n), model="GeForce RTX 3090", memory_total_mib=24_576.0)
        for n in range(2)
    )
    return Sample(driver="1", devices=devices, boards=2, power_w=None)


def no_driver() -> Sample:
    raise ProviderUnavailable("no driver")


def no_binding() -> Sample:
    raise ModuleNotFoundError("pynvml")


def at_home(**changes: object) -> Run:
    values = {"location": "local", "host": "desk", "gpu_model": "RTX 2080", "gpu_memory_mib": 8192}
    return run(**(values | changes))  # type: ignore[arg-type]


def test_cards_that_are_seen_here_count_before_what_runs_tell() -> None:
    (cards,) = home_cards([at_home()], sampler=two_cards)
    assert (cards.where, cards.gpus, cards.memory_mib, cards.seen_by) == (HERE, 2, 24_576, "NVML")
    need = next_run([run(peak_gpu_memory_mib=20_480.0)], as_of=NOW)
    assert fit_told(cards, need) == (
        "fits the 2 × 24 GB GeForce RTX 3090 in this workstation, with 4.0 GiB to spare"
    )


@pytest.mark.parametrize("sampler", [no_driver, no_binding])
def test_without_a_driver_runs_at_home_tell_of_the_newest_cards(sampler: object) -> None:
    old = at_home(run_id="old", gpu_memory_mib=4096, started_at=NOW - timedelta(days=9), gpus=4)
    cloud = at_home(run_id="c", location="cloud", host="rented")
    (cards,) = home_cards([at_home(gpus=2), old, cloud], sampler=sampler)  # type: ignore[arg-type]
    assert (cards.where, cards.gpus, cards.memory_mib, cards.seen_by) == ("desk", 2, 8192, "runs")


def test_where_nobody_tells_there_is_none_and_not_a_card_of_nothing() -> None:
    silent = [at_home(gpu_memory_mib=None), at_home(gpus=None), at_home(location=None)]
    assert home_cards(silent, sampler=no_driver) == ()


CARD = HomeCards(where="desk", model="RTX 3090", gpus=1, memory_mib=24_576, seen_by="runs")


def test_why_it_does_not_fit_is_told() -> None:
    big = next_run([run(peak_gpu_memory_mib=30_720.0)], as_of=NOW)
    assert fit_told(CARD, big).endswith("it peaked at 30.0 GiB on one GPU")
    many = next_run([run(peak_gpu_memory_mib=1.0, gpus=4)], as_of=NOW)
    assert "its newest run used 4 GPUs a machine, there are 1" in fit_told(CARD, many)
    oom = run(outcome=RunOutcome.FAILED, cause=RunCause.OOM, gpu_memory_mib=24_576)
    assert "ran out of memory on a card of that size" in fit_told(CARD, next_run([oom], as_of=NOW))
    untold = next_run([run()], as_of=NOW)
    assert fit_told(CARD, untold) == (
        "whether it fits the 24 GB RTX 3090 on desk is unknown:"
        " no recent run tells its peak GPU memory"
    )
