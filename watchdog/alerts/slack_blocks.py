"""An alert as Slack blocks. Imports the SDK: import it only where a message is sent.

Sentences stand in `plain_text` objects, where Slack reads no formatting at all. Figures and names
stand in mrkdwn: names as inline code, and `verbatim`, so that no address becomes a link.
"""

from collections.abc import Sequence

from slack_sdk.models.blocks import (
    Block,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)

from watchdog.alerts.message import Alert, AlertLine, untold
from watchdog.alerts.sentences import (
    gaps_told,
    left_alone_told,
    machine_told,
    notices_told,
    price_told,
    reasons_told,
    rest_told,
    summary_told,
    verdicts_told,
    work_told,
)
from watchdog.alerts.slack_text import fitted, literal, name, neutral

HEADER_LIMIT = 150
SECTION_LIMIT = 3000
CONTEXT_LIMIT = 1900
TEXT_LIMIT = 3900
MACHINES = 20
"""Two blocks each: with at most 10 around them they stay under the 50 that Slack takes."""


def blocks(alert: Alert) -> list[Block]:
    shown = alert.lines[:MACHINES]
    rest = untold(alert, shown)
    found: list[Block] = [HeaderBlock(text=_header(alert.headline))]
    found += _context([summary_told(alert)])
    for line in shown:
        found.append(_section(_machine(line)))
        found += _context(reasons_told(line))
    if rest is not None:
        found.append(_section([rest_told(rest)]))
    if alert.verdicts:
        found.append(_section(["*Verdicts that changed*"]))
        found.append(SectionBlock(text=_plain_lines(verdicts_told(alert.verdicts), SECTION_LIMIT)))
    if alert.notices:
        found.append(_section(["*Also to know*"]))
        found.append(SectionBlock(text=_plain_lines(notices_told(alert.notices), SECTION_LIMIT)))
    if alert.gaps:
        found.append(_section(["*Could not be seen*"]))
        found.append(SectionBlock(text=_plain_lines(gaps_told(alert.gaps), SECTION_LIMIT)))
    alone = left_alone_told(alert)
    return found + _context([alone] if alone else [])


def fallback(alert: Alert) -> str:
    """What notifications and screen readers get: the same machines, one line each."""
    lines = [neutral(alert.headline)]
    lines += [f"{neutral(line.name, 80)}: {price_told(line)}" for line in alert.lines[:MACHINES]]
    lines += [f"Verdict: {neutral(told)}" for told in verdicts_told(alert.verdicts)]
    lines += [f"Also: {neutral(told)}" for told in notices_told(alert.notices)]
    lines += [f"Could not be seen: {neutral(told)}" for told in gaps_told(alert.gaps)]
    return fitted(lines, TEXT_LIMIT)


def _machine(line: AlertLine) -> list[str]:
    return [
        f"{name(line.name)} *{price_told(line)}*",
        machine_told(line, name),
        work_told(line, name),
    ]


def _section(lines: list[str]) -> SectionBlock:
    return SectionBlock(text=MarkdownTextObject(text=fitted(lines, SECTION_LIMIT), verbatim=True))


def _context(sentences: Sequence[str]) -> list[Block]:
    told = [sentence for sentence in sentences if sentence]
    return [ContextBlock(elements=[_plain_lines(told, CONTEXT_LIMIT)])] if told else []


def _plain_lines(sentences: Sequence[str], limit: int) -> PlainTextObject:
    text = fitted([literal(each) for each in sentences], limit)
    return PlainTextObject(text=text or "?", emoji=False)


def _header(text: str) -> PlainTextObject:
    """Entities may make it five times as long."""
    told = literal(text, HEADER_LIMIT)
    if len(told) > HEADER_LIMIT:
        told = literal(text, HEADER_LIMIT // 5)
    return PlainTextObject(text=told or "?", emoji=False)
