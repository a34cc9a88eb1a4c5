"""JSON that others read by program, and that a terminal may be shown."""

import json

from hypothesis import given
from hypothesis import strategies as st

from watchdog.cleaning import steers
from watchdog.json_values import json_text

ANY = st.text(alphabet=st.characters(codec=None), max_size=60)


@given(ANY)
def test_every_text_reads_back_as_it_was_and_steers_nothing(text: str) -> None:
    told = json_text({text: text}, indent=2)
    assert json.loads(told) == {text: text}
    assert not [each for each in told if steers(each) and each != "\n"]


def test_letters_of_every_language_stay_readable() -> None:
    assert json_text("Grüße 日本 🔥") == '"Grüße 日本 🔥"'
