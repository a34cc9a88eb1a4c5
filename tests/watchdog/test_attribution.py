"""Which workload a machine belongs to, and by which rule."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Attribution, RunOutcome, WorkloadKind
from tests.builders import NOW, machine, run
from watchdog.attribution import (
    attribution_at,
    attributions_of,
    runs_by_machine,
    without_counter,
)
from watchdog.mapping import NO_MAPPING, load_mapping

MAPPING = load_mapping(
    """\
schema: spend-watchdog/mapping/1
workloads:
  - {workload: sft, group: nlp, kind: training, match: {name: "trainer-*", tags: {team: "n*"}}}
""",
    "mapping.yaml",
)


def told(tags: dict[str, str], *, name: str | None = "trainer-1", **options: Any) -> Attribution:
    values: dict[str, Any] = {"mapping": NO_MAPPING, "runs": (), "now": NOW}
    subject = replace(machine(tags=tags), name=name)
    return attribution_at(attributions_of(subject, **(values | options)), NOW)


RUN = run(
    outcome=RunOutcome.RUNNING,
    machine_id=machine().id,
    started_at=NOW - timedelta(hours=2),
    ended_at=None,
    workload="by-run",
)


def test_a_tag_beats_everything_and_the_answer_says_so() -> None:
    tags = {"spend-watchdog:workload": "tagged", "team": "nlp", "skypilot-cluster-name": "sky"}
    found = told(tags, mapping=MAPPING, runs=[RUN])
    assert (found.workload, found.rule) == ("tagged", "tag spend-watchdog:workload")


def test_the_mapping_file_comes_next_and_names_its_line() -> None:
    tags = {"team": "nlp", "skypilot-cluster-name": "sky"}
    found = told(tags, mapping=MAPPING, runs=[RUN])
    assert (found.workload, found.group, found.kind) == ("sft", "nlp", WorkloadKind.TRAINING)
    assert found.rule == "mapping file, line 3"


def test_then_a_run_that_names_the_machine_at_that_time() -> None:
    found = told({"skypilot-cluster-name": "sky"}, runs=[RUN])
    assert (found.workload, found.rule) == ("by-run", "run r1")
    ended = run(machine_id=machine().id, workload="by-run")
    assert told({"skypilot-cluster-name": "sky"}, runs=[ended]).workload == "sky"


@pytest.mark.parametrize(
    ("tags", "workload", "rule"),
    [
        ({"skypilot-cluster-name": "sky"}, "sky", "SkyPilot tag skypilot-cluster-name"),
        ({"dstack_name": "d", "dstack_project": "p"}, "d", "dstack tag dstack_name"),
        ({"ray-cluster-name": "ray"}, "ray", "Ray tag ray-cluster-name"),
        ({"eks:nodegroup-name": "gpu"}, "gpu", "EKS tag eks:nodegroup-name"),
    ],
)
def test_then_the_launchers_own_tags(tags: dict[str, str], workload: str, rule: str) -> None:
    found = told(tags)
    assert (found.workload, found.rule) == (workload, rule)


def test_then_the_name_without_its_counter_and_last_nothing() -> None:
    assert told({}).workload == "trainer"
    nobody = told({}, name=None)
    assert (nobody.workload, nobody.rule) == (None, "unattributed")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trainer-3", "trainer"),
        ("trainer_07", "trainer"),
        ("a100-2", "a100"),
        ("42", "42"),
        ("llama2", "llama2"),
        ("-7", "-7"),
        ("trainer-2026-11-20-09-00-00-123", "trainer"),
        ("trainer-3-2026-11-20-09-00-00-123", "trainer"),
        ("trainer-261120-0900-007-1a2b3c4d", "trainer"),
        ("llm-tune-007-1a2b3c4d", "llm-tune"),
        ("-2026-11-20-09-00-00-123", "-2026-11-20-09-00-00-123"),
    ],
)
def test_counters_are_stripped(name: str, expected: str) -> None:
    assert without_counter(name) == expected


def test_the_kind_tag_protects_whatever_rule_named_the_workload() -> None:
    assert told({"spend-watchdog:kind": "service"}).kind is WorkloadKind.SERVICE
    assert told({"spend-watchdog:kind": "no-such-kind"}).kind is WorkloadKind.UNKNOWN


@pytest.mark.parametrize(
    ("tags", "mapped", "kind"),
    [
        ({}, "", WorkloadKind.SERVICE),
        ({}, "kind: training", WorkloadKind.TRAINING),
        ({"spend-watchdog:kind": "notebook"}, "kind: training", WorkloadKind.NOTEBOOK),
    ],
)
def test_the_service_that_runs_a_machine_tells_its_kind_where_nobody_else_does(
    tags: dict[str, str], mapped: str, kind: WorkloadKind
) -> None:
    entry = f"  - workload: w\n    {mapped}\n    match: {{name: '*'}}\n" if mapped else " []\n"
    mapping = load_mapping(f"schema: spend-watchdog/mapping/1\nworkloads:\n{entry}", "m.yaml")
    of_service = replace(machine(), tags=tags, kind=WorkloadKind.SERVICE)
    (found,) = attributions_of(of_service, mapping=mapping, runs=[], now=NOW)
    assert found.kind is kind


def test_an_owner_that_the_cloud_tells_counts_behind_those_of_tags() -> None:
    (found,) = attributions_of(
        replace(machine(), owner="ana"), mapping=NO_MAPPING, runs=[], now=NOW
    )
    assert found.owner == "ana"
    assert told({"Owner": "ben"}).owner == "ben"


def test_the_hyphen_form_of_the_tags_counts_too() -> None:
    assert told({"spend-watchdog-workload": "llama"}).workload == "llama"


def test_runs_name_machines_by_id_or_native_id_and_several_at_once() -> None:
    one, two = machine("a"), machine("b")
    runs = [run("r", machine_id=f"{one.id};{two.native_id};i-other")]
    assert runs_by_machine([one, two], runs) == {one.id: runs, two.id: runs}


def test_two_runs_at_once_share_by_their_gpus() -> None:
    start = NOW - timedelta(hours=1)
    runs = [
        run("a", machine_id=machine().id, workload="big", gpus=3, started_at=start, ended_at=NOW),
        run("b", machine_id=machine().id, workload="small", gpus=1, started_at=start, ended_at=NOW),
    ]
    found = attributions_of(replace(machine(), name=None), mapping=NO_MAPPING, runs=runs, now=NOW)
    shares = {each.workload: each.share for each in found if each.started_at == start}
    assert shares == {"big": 0.75, "small": 0.25}


times = st.integers(0, 200).map(lambda hours: NOW - timedelta(hours=hours))


@given(st.lists(st.tuples(times, times, st.sampled_from("abc")), max_size=8))
def test_attributions_cover_all_time_once(drawn: list[tuple[datetime, datetime, str]]) -> None:
    runs = [
        run(
            f"r{n}",
            workload=name,
            started_at=min(a, b),
            ended_at=max(a, b),
            machine_id=machine().id,
        )
        for n, (a, b, name) in enumerate(drawn)
    ]
    found = attributions_of(machine(), mapping=NO_MAPPING, runs=runs, now=NOW)
    moments = {each.started_at for each in found}
    for moment in moments:
        at_once = [
            each.share
            for each in found
            if each.started_at <= moment and (each.ended_at is None or moment < each.ended_at)
        ]
        assert sum(at_once) == pytest.approx(1.0)
