"""An incident as Slack blocks. Imports the SDK: import it only where a message is sent."""

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    SectionBlock,
)

from watchdog.alerts.incident_news import IncidentNews
from watchdog.alerts.slack_text import fitted, literal

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
BUTTONS = (
    ("keep_2h", "Keep 2 h", None),
    ("keep_until_tomorrow", "Keep until tomorrow", None),
    ("stop_now", "Stop now", "danger"),
    ("not_mine", "Not mine", None),
)
"""Action, label and style."""


def blocks(news: IncidentNews, *, buttons: bool = True) -> list[Block]:
    """Every name in it comes from tags that anyone can set: nothing in it formats or pings."""
    found: list[Block] = [
        HeaderBlock(text=_plain(literal(news.headline, HEADER_LIMIT // 2))),
        SectionBlock(text=_plain(literal(news.facts, SECTION_LIMIT // 6))),
        ContextBlock(elements=[_plain(fitted([literal(each) for each in news.sentences], 1900))]),
    ]
    if buttons and news.answerable:
        found.append(
            ActionsBlock(
                elements=[
                    ButtonElement(text=label, action_id=action, value=news.key, style=style)
                    for action, label, style in BUTTONS
                ]
            )
        )
    return found


def _plain(text: str) -> PlainTextObject:
    return PlainTextObject(text=text or "?", emoji=False)
