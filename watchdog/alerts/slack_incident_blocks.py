"""An incident as Slack blocks. Imports the SDK: import it only where a message is sent."""

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    PlainTextObject,
    SectionBlock,
)

from watchdog.alerts.answers import Button
from watchdog.alerts.incident_news import IncidentNews
from watchdog.alerts.slack_text import fitted, literal

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
CONFIRM_LIMIT = 300
BUTTONS = (
    (Button.KEEP_2H, "Keep 2 h", None),
    (Button.KEEP_UNTIL_TOMORROW, "Keep until tomorrow", None),
    (Button.STOP_NOW, "Stop now", "danger"),
    (Button.NOT_MINE, "Not mine", None),
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
                    ButtonElement(
                        text=label,
                        action_id=action.value,
                        value=news.key,
                        style=style,
                        confirm=_sure(news) if action is Button.STOP_NOW else None,
                    )
                    for action, label, style in BUTTONS
                ]
            )
        )
    return found


def _sure(news: IncidentNews) -> ConfirmObject:
    """Slack asks before it tells of the press."""
    return ConfirmObject(
        title=_plain("Stop it now?"),
        text=_plain(literal(f"{news.name} is stopped; its disks are kept.", CONFIRM_LIMIT // 6)),
        confirm=_plain("Stop now"),
        deny=_plain("Leave it"),
        style="danger",
    )


def _plain(text: str) -> PlainTextObject:
    return PlainTextObject(text=text or "?", emoji=False)
