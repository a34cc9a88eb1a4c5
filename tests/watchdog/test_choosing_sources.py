"""Which of several sources is believed of one machine's GPUs."""

from dataclasses import replace
from datetime import timedelta

from policies.facts import Reading
from tests.builders import NOW, machine, reading
from watchdog.choosing_sources import most_trusted


def agent(*values: float | None, gpu: str | None = "0") -> Reading:
    return reading(values, gpu=gpu)


def dcgm(*values: float | None, gpu: str = "0") -> Reading:
    return replace(reading(values, gpu=gpu), source="prometheus:DCGM")


ONE = machine()


def test_the_more_trusted_source_wins_and_the_choice_is_told() -> None:
    ours, theirs, host = agent(0, 0, 0, 0), dcgm(0, 90, 0, 0), agent(1, 1, 1, 1, gpu=None)
    chosen = most_trusted([ours, host, theirs], [ONE])
    assert set(map(id, chosen.readings)) == {id(host), id(theirs)}
    assert chosen.told == {
        ONE.id: "measured by prometheus:DCGM (100% of the time),"
        " not cloudwatch:CWAgent (100% of the time)"
    }


def test_it_is_passed_over_where_it_saw_much_less() -> None:
    ours, theirs = agent(*[0.0] * 10), dcgm(*[0.0] * 8, None, None)
    assert most_trusted([ours, theirs], [ONE]).readings == (ours,)
    little_less = dcgm(*[0.0] * 9, None)
    assert most_trusted([ours, little_less], [ONE]).readings == (little_less,)


def test_gpus_that_it_does_not_know_are_not_covered_by_it() -> None:
    ours = [agent(0, 0, gpu="0"), agent(90, 90, gpu="1")]
    chosen = most_trusted([*ours, dcgm(0, 0)], [machine(gpus=2)])
    assert chosen.readings == tuple(ours)


def test_a_source_wins_as_a_whole_and_window_by_window() -> None:
    before = NOW - timedelta(days=1)
    ours = [replace(agent(0, 0), started_at=before), agent(0, 0), agent(50, 50, gpu="1")]
    theirs = [dcgm(0, 0, gpu="GPU-a"), dcgm(0, 0, gpu="GPU-b")]
    chosen = most_trusted([*ours, *theirs], [machine(gpus=2)])
    assert chosen.readings == (ours[0], *theirs)


def test_two_namespaces_of_one_source_stay_together() -> None:
    other = replace(agent(0, 0, gpu="1"), source="cloudwatch:Team")
    chosen = most_trusted([agent(0, 0), other], [ONE])
    assert len(chosen.readings) == 2
    assert chosen.told == {}


def test_of_two_that_tell_of_the_host_one_is_believed() -> None:
    cloud, ours = agent(1, 1, gpu=None), replace(agent(50, 50, gpu=None), source="agent")
    chosen = most_trusted([cloud, ours], [ONE])
    assert chosen.readings == (ours,)
    little = replace(agent(50, None, gpu=None), source="agent")
    assert most_trusted([cloud, little], [ONE]).readings == (cloud,)
    assert chosen.told == {}


def test_our_own_agent_is_trusted_most() -> None:
    several = [agent(0, 0), dcgm(0, 0), replace(agent(90, 90), source="agent")]
    chosen = most_trusted(several, [ONE])
    assert chosen.readings == (several[2],)
    assert chosen.told[ONE.id].startswith("measured by agent (100% of the time), not prometheus")
