"""What Slack gets to read: within its limits, and nothing that a name could do to it."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policies.facts import StopTerms
from policies.verdicts import Phase
from tests.fake_slack import refused_for
from tests.watchdog.alerts.reports import gap, judged, report, verdict_change
from watchdog.alerts.console import plain_text
from watchdog.alerts.message import Alert, alert_from
from watchdog.alerts.slack_blocks import blocks, fallback
from watchdog.alerts.slack_text import name

ENTITY = re.compile(r"&(?!amp;|lt;|gt;)")
PING = re.compile(r"@(here|channel|everyone|group)", re.IGNORECASE)
EVIL = (
    "*bold* _it_ ~gone~ `code` ```block``` <!channel> <!here|x> <@U1> <#C1> <https://evil.example|ok>"
    " @here @CHANNEL &amp; &lt; :skull: https://evil.example\n> quote\n\u202ertl \x1b[31mred \x00"
)
NAMES = st.one_of(
    st.text(alphabet=st.characters(codec=None), max_size=300),
    st.text(alphabet="*_~`<>&@!|#\n:ahere-", max_size=60),
    st.just(EVIL),
)


def alert_named(tag: str) -> Alert:
    """Everything that a person can name bears this name."""
    dark = judged(
        tag or "dark",
        hourly="98.32",
        phase=Phase.UNKNOWN,
        workload=tag,
        owner=tag,
        machine_type=tag,
        region=tag,
        because=tag,
        why=(tag, tag),
        stop_terms=StopTerms(can_stop=True, why=tag, prepaid=tag),
    )
    changes = (verdict_change(tag, why=tag),)
    gaps = [gap(what=tag, why=tag, region=tag)]
    alert = alert_from(report(dark, gaps=gaps, verdict_changes=changes))
    assert alert is not None
    return alert


def message(alert: Alert) -> Mapping[str, Any]:
    return {"text": fallback(alert), "blocks": [block.to_dict() for block in blocks(alert)]}


def texts(sent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text object as (type, text)."""
    yield "fallback", sent["text"]
    for block in sent["blocks"]:
        for each in [block["text"]] if "text" in block else block["elements"]:
            yield each["type"], each["text"]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(NAMES)
@example(EVIL)
@example("&" * 300)
@example("`" * 300)
@example("")
@example("\u200f\u202e")
def test_no_name_formats_links_or_pings(tag: str) -> None:
    sent = message(alert_named(tag))
    assert refused_for(sent) is None
    for kind, text in texts(sent):
        assert "<" not in text
        assert ">" not in text
        assert not ENTITY.search(text)
        assert not PING.search(text)
        shown = text.replace("\n", "")
        assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        if kind == "fallback":
            assert not re.search(r"[*~`]", text)
        if kind == "mrkdwn":
            assert not re.search(r"[~]", text)


@settings(deadline=None)
@given(NAMES)
@example(EVIL)
@example("``")
def test_names_stand_in_inline_code_and_change_nothing_around_it(tag: str) -> None:
    """Between the code, the text is the same whatever the names are."""

    def around(alert: Alert) -> list[list[str]]:
        kinds = texts(message(alert))
        return [text.split("`")[::2] for kind, text in kinds if kind == "mrkdwn"]

    assert around(alert_named(tag)) == around(alert_named("harmless"))


def test_a_name_that_cannot_be_shown_is_a_question_mark() -> None:
    assert name("\u200f\n") == "`?`"


def test_a_headline_full_of_entities_still_fits() -> None:
    alert = replace(alert_named("m"), headline="&" * 200)
    assert refused_for(message(alert)) is None


def test_underscores_inside_a_name_are_left_so_that_it_can_be_copied() -> None:
    sent = message(alert_named("train_llama_7b"))
    machine = sent["blocks"][2]["text"]
    assert "`train_llama_7b`" in machine["text"]
    assert machine["verbatim"] is True


def test_prose_is_plain_text_without_emoji() -> None:
    kinds = {
        each["type"]: each
        for block in message(alert_named(":skull:"))["blocks"]
        for each in block.get("elements", [])
    }
    assert set(kinds) == {"plain_text"}
    assert kinds["plain_text"]["emoji"] is False


@pytest.mark.parametrize("machines", [0, 1, 2, 15, 19, 20, 21, 50, 500])
@pytest.mark.parametrize("gaps", [0, 1, 8, 9, 300])
@pytest.mark.parametrize("limit", [0, 15, 500])
def test_limits_hold_for_any_number_of_machines(machines: int, gaps: int, limit: int) -> None:
    told = report(
        *(judged(f"m{index}-" + EVIL, hourly="12.34") for index in range(machines)),
        gaps=[gap(what=f"metric {index} " + EVIL, why=EVIL * 3) for index in range(gaps)],
    )
    alert = alert_from(told, limit=limit)
    if alert is None:
        assert (machines, gaps) == (0, 0)
        return
    assert refused_for(message(alert)) is None
    assert len(fallback(alert)) < 4000


def test_every_figure_of_the_message_is_the_reports() -> None:
    machines = [judged(f"m{index}", hourly=f"{index}.25") for index in range(1, 31)]
    alert = alert_from(report(*machines, judged("u", hourly=None)), limit=500)
    assert alert is not None
    whole = "\n".join(text for _, text in texts(message(alert)))
    assert "31 machines need a look: $472.50/h (1 without a price)" in whole
    assert "*$30.25/h, $30.25 by Monday*" in whole
    shown = re.findall(r"\*\$([\d.]+)/h", whole)
    assert [float(each) for each in shown] == [index + 0.25 for index in range(30, 10, -1)]
    assert "and 11 more machines: $57.50/h (1 without a price)" in whole


def test_the_preview_tells_what_slack_is_told() -> None:
    alert = alert_from(report(judged("a", hourly="3.06"), judged("b", hourly=None), gaps=[gap()]))
    assert alert is not None
    preview = plain_text(alert)
    for _, text in texts({"text": "", "blocks": message(alert)["blocks"]}):
        for piece in re.split(r"[`*\n]+", text):
            assert piece.strip() in preview


def test_a_message_in_act_mode_does_not_claim_to_observe() -> None:
    alert = alert_from(report(judged()))
    assert alert is not None
    assert "nothing was stopped" in plain_text(alert)
    assert "nothing was stopped" not in plain_text(replace(alert, mode="act"))


def test_changed_verdicts_stand_in_the_message_and_in_its_fallback() -> None:
    changes = tuple(verdict_change(f"w{number}") for number in range(500))
    alert = alert_from(report(verdict_changes=changes))
    assert alert is not None
    sent = message(alert)
    assert refused_for(sent) is None
    assert "w0: exploratory → mature" in sent["text"]
    told = "\n".join(text for _, text in texts(sent))
    assert "Verdicts that changed" in told
    assert "and 490 more: spend-watchdog workloads" in told
