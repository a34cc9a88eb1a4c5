"""The watchdog as AWS Lambda functions: `handler` patrols, `answers` hears buttons in Slack.

Settings come from the environment. Those that are secret, or are whole files, may lie elsewhere:
`SPEND_WATCHDOG_SLACK__TOKEN_FROM=ssm:/spend-watchdog/slack-token` or `secretsmanager:…`, read at
each cold start. `…_CONFIG_FROM`, `…_POLICY_FROM` and `…_MAPPING_FROM` name the text of a file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watchdog.settings import PREFIX, SettingsError, load_settings

if TYPE_CHECKING:
    from watchdog.patrol_report import PatrolReport
    from watchdog.settings import Settings

FROM = "_FROM"
FILES: Mapping[str, str] = {"CONFIG": ".toml", "POLICY": ".yaml", "MAPPING": ".yaml"}
"""Settings whose value is a file: its text is read, and the setting becomes its path."""
PRESS = "press"
"""Where an event of our own bears what Slack told."""
TOLD = 20
"""Gaps and outcomes in the answer; the log has them all."""


def handler(event: Mapping[str, Any], context: object) -> dict[str, object]:
    """One patrol. Raises what ends it, so that Lambda counts an error and its alarm rings.

    The answer is a summary; each line of it also goes to the log.
    """
    del event, context
    began = time.monotonic()
    settings = load_settings(_settings_file())
    from watchdog.composition import parts_of  # noqa: PLC0415 - settings say what is needed
    from watchdog.rounds import patrol_round  # noqa: PLC0415

    parts = parts_of(settings, alerts=True, progress=_silent, act=settings.act)
    done = patrol_round(settings, parts)
    summary = _summary(done.report, done.notices, time.monotonic() - began)
    for name in ("notices", "gaps", "outcomes"):
        for line in summary[name]:
            _say(f"{name}: {line}")
    counts = {name: len(told) for name, told in summary.items() if isinstance(told, list)}
    return {**summary, **{name: summary[name][:TOLD] for name in counts}, "counts": counts}


def answers(event: Mapping[str, Any], context: object) -> dict[str, object]:
    """A function URL's request from Slack; then, by an event of its own, what it asked for.

    Slack waits three seconds, and an order takes longer. Only who may invoke the function can send
    it such an event: whatever comes by the URL bears `requestContext`.
    """
    settings = load_settings(_settings_file())
    if "requestContext" in event:
        return _acknowledged(event, settings, str(getattr(context, "function_name", "")))
    from watchdog.composition import answering_of  # noqa: PLC0415 - heavy, and not for the URL

    told = answering_of(settings).answer(event[PRESS], datetime.now(UTC))
    _say(told)
    return {"answered": told}


def _acknowledged(event: Mapping[str, Any], settings: Settings, function: str) -> dict[str, object]:
    from providers.aws.functions import invoke_later  # noqa: PLC0415 - imports the SDK
    from watchdog.alerts.slack_requests import handle  # noqa: PLC0415 - the SDK is heavy

    secret = settings.slack.signing_secret
    if secret is None:
        raise SettingsError(
            "slack.signing_secret: not set, so nobody can tell Slack from others"
            " (SPEND_WATCHDOG_SLACK__SIGNING_SECRET)"
        )
    body = str(event.get("body") or "")
    if event.get("isBase64Encoded"):
        body = b64decode(body).decode("utf-8", "replace")
    status, text = handle(
        event.get("headers") or {},
        body,
        datetime.now(UTC),
        secret=secret.get_secret_value(),
        later=lambda payload: invoke_later(function, {PRESS: payload}),
    )
    return {"statusCode": status, "headers": {"Content-Type": "text/plain"}, "body": text}


def _silent(step: str) -> None:
    del step


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - what Lambda's log consists of


def _summary(report: PatrolReport, notices: tuple[str, ...], seconds: float) -> dict[str, Any]:
    findings = [each for each in report.machines if each.decision.findings]
    return {
        "schema": "spend-watchdog/lambda/1",
        "at": report.at.isoformat(),
        "mode": report.mode,
        "machines": len(report.machines),
        "findings": len(findings),
        "seconds": round(seconds, 3),
        "api_calls": sum(report.cost_of_watching.api_calls.values()),
        "notices": list(notices),
        "gaps": [
            ": ".join(filter(None, (gap.provider, gap.region, gap.what, gap.why)))
            for gap in report.gaps
        ],
        "outcomes": [
            f"{each.action} {each.machine}: {each.result.value}: {each.why}"
            for each in report.outcomes
        ],
    }


@cache
def _settings_file() -> Path | None:
    """Reads what lies elsewhere, once for each cold start; None: there is no file among it."""
    from providers.aws.secrets import read_secret  # noqa: PLC0415 - imports the SDK

    return resolve(os.environ, read_secret)


def resolve(environment: MutableMapping[str, str], read: Callable[[str], str]) -> Path | None:
    """Puts what `…_FROM` variables point at in the environment; the settings file, if one is there.

    Raises `SettingsError` where a setting is told twice, or what it points at is empty; then the
    environment is as it was.
    """
    pointing = [name for name in environment if _points(name)]
    found: dict[str, str] = {}
    for variable in pointing:
        name, place = variable.removesuffix(FROM), environment[variable]
        if name in environment:
            raise SettingsError(f"{name} and {variable} are both set: keep one")
        text = read(place)
        if not text.strip():
            raise SettingsError(f"{variable}: {place} is empty")
        suffix = FILES.get(name.removeprefix(PREFIX))
        found[name] = text.strip() if suffix is None else _file(name, suffix, text)
    for variable in pointing:
        del environment[variable]
    config = found.pop(f"{PREFIX}CONFIG", None)
    environment.update(found)
    return None if config is None else Path(config)


def _points(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable.endswith(FROM)


def _file(name: str, suffix: str, text: str) -> str:
    path = Path(tempfile.mkdtemp(prefix="spend-watchdog-")) / f"{name.lower()}{suffix}"
    path.write_text(text, encoding="utf-8")
    return str(path)
