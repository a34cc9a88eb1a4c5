"""What `init` writes and prints: a settings file, roles, a mapping file, a Slack manifest."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from glob import escape

from policies.facts import Machine
from providers.base import Seen
from watchdog.attribution import attribution_at, attributions_of, without_counter
from watchdog.cleaning import steers
from watchdog.mapping import NO_MAPPING, SCHEMA

SETTINGS = """\
# Settings of the cloud spend watchdog. Every line is optional; a commented one is the default.
# The environment beats this file: SPEND_WATCHDOG_LEDGER, SPEND_WATCHDOG_SLACK__TOKEN, and so on.

# Where it remembers: a folder, or s3://, gs:// or az:// for a Lambda or several hosts.
# ledger = "{ledger}"

# What it wants: a pack (observe, default, strict) or the path of a policy file.
policy = "observe"

# Which machines serve which workload, for machines without tags.
# mapping = "mapping.yaml"

# Which clouds: every one that is installed and has credentials, unless named here.
# providers = ["aws"]
# regions = ["us-east-1"]

# Known gaps that do not make a patrol exit with 4, as globs: "what" or "provider:region:what".
# accepted_gaps = ["start and stop history"]

# Disks, snapshots, buckets and idle addresses; false leaves them out.
# storage = true

# Called after every patrol, so that somebody notices when the watchdog itself falls silent.
# heartbeat_url = "https://example.com/heartbeat"

# Gets a POST of JSON with a "text" when alerts in Slack have not arrived for an hour.
# second_channel_url = "https://example.com/hooks/another-chat"

[slack]
# channel = "C0123456789"
# Secrets belong in the environment: SPEND_WATCHDOG_SLACK__TOKEN, and for buttons under incidents
# SPEND_WATCHDOG_SLACK__APP_TOKEN (`spend-watchdog listen`) or SPEND_WATCHDOG_SLACK__SIGNING_SECRET.
# allowed_users = ["U0123ABCD"]  # who may press; without it everyone may keep, and nobody may stop

[ledger_care]
# Patrols compact the ledger by themselves. Runs, events and charges are never thinned.
# every = 24             # patrols from one time to the next; 0: never
# thin_after = "90d"     # older readings become rows of at most an hour
# vacuum_after = "7d"    # replaced files stay that long for those who still read them

[prometheus]
# A Prometheus that scrapes dcgm-exporter; its labels say which machine a GPU belongs to.
# url = "http://prometheus:9090"
# join_labels = ["instance_id", "vm_id", "microsoft_resourceid", "Hostname", "node", "instance"]
"""

SLACK_MANIFEST: Mapping[str, object] = {
    "display_information": {
        "name": "Spend Watchdog",
        "description": "Tells which rented GPUs wait for a person, and what that costs.",
    },
    "features": {"bot_user": {"display_name": "spend-watchdog", "always_online": True}},
    "oauth_config": {"scopes": {"bot": ["chat:write", "chat:write.public"]}},
    "settings": {
        "org_deploy_enabled": False,
        "socket_mode_enabled": True,
        "interactivity": {"is_enabled": True},
    },
}


def settings_text(ledger: str) -> str:
    return SETTINGS.format(ledger=ledger)


def manifest_text() -> str:
    return json.dumps(SLACK_MANIFEST, indent=2)


def unseen_text(provider: str, seen: Seen[Machine]) -> str | None:
    """One line on what could not be looked at; None where all was seen."""
    if not seen.gaps:
        return None
    first, *others = dict.fromkeys(gap.why for gap in seen.gaps)
    what = "not everything" if seen.values else "nothing"
    more = f" (and {len(others)} more: `spend-watchdog patrol` tells each)" if others else ""
    return f"{provider}: {what} was seen: {first}{more}"


def mapping_text(machines: Sequence[Machine], now: datetime) -> str:
    """A mapping file for the machines that no tag attributes; a comment says what each one is."""
    lines = [
        f"schema: {SCHEMA}",
        "# Name the work of each machine; globs match, the first entry that fits decides.",
        "# kind is one of training, batch, notebook, service; a service is never stopped.",
        "workloads:",
    ]
    entries = list(_entries(machines, now))
    if not entries:
        why = "every machine that was seen is attributed by its tags"
        lines[-1] = f"workloads: []  # {why if machines else 'no machine was seen'}"
    return "\n".join([*lines, *entries]) + "\n"


def _entries(machines: Sequence[Machine], now: datetime) -> Iterable[str]:
    by_name: dict[str, list[Machine]] = defaultdict(list)
    for machine in machines:
        told = attributions_of(machine, mapping=NO_MAPPING, runs=(), now=now)
        if machine.name and attribution_at(told, now).rule == "name without its counter":
            by_name[without_counter(machine.name)].append(machine)
    for name, several in sorted(by_name.items()):
        types = ", ".join(sorted({machine.machine_type for machine in several}))
        glob = f"{escape(name)}*" if len(several) > 1 else escape(str(several[0].name))
        yield f"  - workload: {_quoted(name)}  # {len(several)} × {types}"
        yield "    # group: my-team"
        yield "    # kind: training"
        yield f"    match: {{name: {_quoted(glob)}}}"


def _quoted(text: str) -> str:
    """Names come from tags that anyone can set: JSON's quoting is YAML's too, but for what steers a
    terminal, which YAML refuses.
    """
    told = json.dumps(text, ensure_ascii=False)
    return "".join(f"\\U{ord(each):08x}" if steers(each) else each for each in told)
