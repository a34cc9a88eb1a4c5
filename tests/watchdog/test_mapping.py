"""The mapping file: what it says, and what it says when it is wrong."""

import pytest

from policies.facts import WorkloadKind
from watchdog.mapping import MappingError, load_mapping

GOOD = """\
schema: spend-watchdog/mapping/1
workloads:
  - workload: llama-sft
    group: nlp
    kind: training
    owner: ana
    data_class: internal
    match:
      name: "llama-*"
      account: "1234*"
      tags: {team: "nlp*"}
"""


def test_an_entry_knows_its_line_and_its_globs() -> None:
    (entry,) = load_mapping(GOOD, "mapping.yaml").entries
    assert (entry.line, entry.workload, entry.kind) == (3, "llama-sft", WorkloadKind.TRAINING)
    assert entry.globs == {"name": "llama-*", "account": "1234*"}
    assert entry.tags == {"team": "nlp*"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mapping.yaml:1:1: schema: is missing"),
        (
            GOOD.replace("group:", "grup:"),
            "mapping.yaml:4:5: grup: there is no such key; did you mean group?",
        ),
        (
            GOOD.replace("training", "trainig"),
            (
                "mapping.yaml:5:11: kind: input should be 'training', 'batch', 'notebook',"
                " 'service' or 'unknown'"
            ),
        ),
        (
            GOOD.replace('"1234*"', "1234"),
            "mapping.yaml:10:16: account: must be text, not 1234; put it in quotes",
        ),
        (GOOD.replace("mapping/1", "mapping/9"), "mapping.yaml:1:9: schema: input should be"),
        (GOOD.replace("  - workload", "\t- workload"), "mapping.yaml:3:1: a tab cannot indent"),
        (
            "schema: spend-watchdog/mapping/1\nworkloads:\n  - workload: a\n    match: {}\n",
            "mapping.yaml:3: match: an entry without a condition would match every machine",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_where(text: str, message: str) -> None:
    with pytest.raises(MappingError) as told:
        load_mapping(text, "mapping.yaml")
    assert message in str(told.value)
