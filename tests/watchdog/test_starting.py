"""The mapping file that `init` prints must be one that a patrol takes."""

import pytest

from tests.builders import NOW, machine
from watchdog.attribution import matches
from watchdog.mapping import load_mapping
from watchdog.starting import mapping_text


@pytest.mark.parametrize(
    "name",
    [
        "[red]boom[/red]",
        "\U0001f525gpu",
        "a*b?",
        'quo"te',
        "plain",
        "\x9b31mred",
        "\u202egnp",
        "flag\U000e0067",
    ],
)
def test_whatever_a_machine_is_called_its_entry_matches_it(name: str) -> None:
    one = machine(name)
    (entry,) = load_mapping(mapping_text([one], NOW), "mapping.yaml").entries
    assert matches(entry, one)
