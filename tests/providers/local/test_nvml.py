"""What the library tells, told on: supported or not, one card or two, whole or in slices."""

from pathlib import Path

import pytest

from providers.base import ProviderUnavailable
from providers.local.occupants import Process, held_by
from tests.providers.local.standin import Desk


def test_an_idle_card_holds_nothing_although_the_driver_keeps_some(desk: Desk) -> None:
    sample = desk.sample()
    (card,) = sample.devices
    assert (card.id, card.model, card.is_slice) == ("0", "A100-SXM4-80GB", False)
    assert (card.utilisation_pct, card.memory_used_mib) == (0.0, 0.0)
    assert (card.memory_total_mib, card.power_w) == (81920.0, 61.0)
    assert (sample.driver, sample.boards, sample.power_w) == ("550.54.15", 1, 61.0)


def test_an_old_driver_counts_its_own_reserve(desk: Desk) -> None:
    desk.says["STANDIN_OLD"] = "1"
    (card,) = desk.sample().devices
    assert card.memory_used_mib == 640.0


def test_a_busy_card(desk: Desk) -> None:
    desk.says |= {"STANDIN_PCT": "97", "STANDIN_HELD_MIB": "61440"}
    (card,) = desk.sample().devices
    assert (card.utilisation_pct, card.memory_used_mib) == (97.0, 61440.0)


def test_two_cards_are_told_apart_and_their_power_is_summed(desk: Desk) -> None:
    desk.says["STANDIN_GPUS"] = "2"
    sample = desk.sample()
    assert [card.id for card in sample.devices] == ["0", "1"]
    assert (sample.boards, sample.power_w) == (2, 122.0)


@pytest.mark.parametrize(
    ("variable", "columns"),
    [
        ("STANDIN_MEMORY", {"memory_used_mib", "memory_total_mib"}),
        ("STANDIN_POWER", {"power_w"}),
        ("STANDIN_RATES", {"utilisation_pct"}),
    ],
)
def test_what_a_card_does_not_support_is_unknown_and_never_zero(
    desk: Desk, variable: str, columns: set[str]
) -> None:
    desk.says[variable] = "3"
    sample = desk.sample()
    (card,) = sample.devices
    figures = ("utilisation_pct", "memory_used_mib", "memory_total_mib", "power_w")
    assert {name for name in figures if getattr(card, name) is None} == columns
    assert (sample.power_w is None) == ("power_w" in columns)
    assert card.trouble == ("Not Supported" if "utilisation_pct" in columns else None)


def test_a_lost_card_is_still_counted_and_nothing_of_it_is_known(desk: Desk) -> None:
    desk.says |= {"STANDIN_GPUS": "2", "STANDIN_SECOND": "15"}
    sample = desk.sample()
    sound, lost = sample.devices
    assert sound.utilisation_pct == 0.0
    assert (lost.id, lost.model, lost.utilisation_pct) == ("1", None, None)
    assert lost.trouble == "GPU is lost"
    assert sample.power_w is None


def test_a_card_in_slices_is_described_by_them(desk: Desk) -> None:
    desk.says |= {"STANDIN_MIG": "2", "STANDIN_HELD_MIB": "1024"}
    sample = desk.sample()
    assert [each.id for each in sample.devices] == ["MIG-0-0", "MIG-0-1"]
    for each in sample.devices:
        assert each.is_slice
        assert each.model == "A100-SXM4-80GB MIG 3g.40gb"
        assert (each.utilisation_pct, each.trouble) == (None, "Not Supported")
        assert (each.memory_used_mib, each.memory_total_mib) == (1024.0, 40960.0)
        assert each.power_w is None
    assert (sample.boards, sample.power_w) == (1, 61.0)


def test_the_hardwares_counters_tell_what_slices_compute(desk: Desk) -> None:
    desk.says |= {"STANDIN_MIG": "3", "STANDIN_SLICE_PCT": "40"}
    devices = desk.sample().devices
    assert [each.utilisation_pct for each in devices] == [0.0, 40.0, 40.0]
    assert [each.trouble for each in devices] == [None] * 3


def test_a_counter_that_fails_leaves_its_slice_unknown(desk: Desk) -> None:
    desk.says |= {"STANDIN_MIG": "2", "STANDIN_SLICE_PCT": "40", "STANDIN_COUNTER": "3"}
    assert [each.utilisation_pct for each in desk.sample().devices] == [None, None]


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ({"STANDIN_INIT": "9"}, "the NVIDIA driver is not loaded here; `nvidia-smi` says more"),
        ({"STANDIN_INIT": "18"}, "the NVIDIA driver was updated and the loaded one is older"),
        ({"STANDIN_INIT": "4"}, "the NVIDIA driver does not answer: Insufficient Permissions"),
        ({"STANDIN_GPUS": "0"}, "the NVIDIA driver sees no GPU here"),
    ],
)
def test_a_driver_that_does_not_work_is_one_sentence(
    desk: Desk, says: dict[str, str], why: str
) -> None:
    desk.says |= says
    with pytest.raises(ProviderUnavailable, match=why) as told:
        desk.sample()
    assert "\n" not in str(told.value)


def test_without_the_library_there_is_no_driver(library: Path, tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="no NVIDIA driver is installed here"):
        Desk(tmp_path).sample()


def test_processes_are_told_with_their_names_the_largest_first(desk: Desk) -> None:
    desk.says |= {"STANDIN_PROCESSES": "3", "STANDIN_NAME": "/opt/conda/bin/python3.11 train.py"}
    (card,) = desk.sample().devices
    assert card.processes == (
        Process(pid=4713, name="python3.11", held_mib=3072.0),
        Process(pid=4711, name="python3.11", held_mib=1024.0),
        Process(pid=4712, name=None, held_mib=None),
    )
    assert held_by([card]) == (
        "held by python3.11 (pid 4713) on GPU 0; python3.11 (pid 4711) on GPU 0;"
        " a process (pid 4712) on GPU 0"
    )


def test_a_process_on_all_cards_is_one(desk: Desk) -> None:
    desk.says |= {"STANDIN_PROCESSES": "1", "STANDIN_GPUS": "2"}
    assert held_by(desk.sample().devices) == "held by python3 (pid 4711) on GPU 0, 1"


def test_many_processes_are_counted(desk: Desk) -> None:
    desk.says["STANDIN_PROCESSES"] = "7"
    told = held_by(desk.sample().devices)
    assert told is not None
    assert told.endswith("; and 3 more")


def test_no_process_is_something_else_than_none_told(desk: Desk) -> None:
    assert desk.sample().devices[0].processes == ()
    desk.says["STANDIN_OLD"] = "1"
    card = desk.sample().devices[0]
    assert card.processes is None
    assert held_by([card]) is None


def test_a_name_cannot_smuggle_control_characters(desk: Desk) -> None:
    desk.says |= {"STANDIN_PROCESSES": "1", "STANDIN_NAME": "evil\x1b[31m" + "x" * 90}
    (card,) = desk.sample().devices
    assert card.processes is not None
    assert card.processes[0].name == "evil[31m" + "x" * 32
