"""The systemd unit of the agent. The file in `infra/agent` is made from it."""

from __future__ import annotations

from collections.abc import Sequence

NAME = "spend-watchdog-agent"
PACKAGED = ("/usr/bin/env", "spend-watchdog", "agent")

_UNIT = """\
[Unit]
Description=Tells the cloud spend watchdog what the GPUs of this machine do
Documentation=file:/usr/share/doc/cloud-spend-watchdog/docs/agent.md
After=network.target

[Service]
DynamicUser=yes
StateDirectory={name}
EnvironmentFile=-/etc/spend-watchdog/environment
ExecStart={command} --spool %S/{name}
Restart=always
RestartSec=30
# It spools what is not sent and ends within five seconds; a shutdown never waits for a ledger.
TimeoutStopSec=8
Nice=10
MemoryMax=200M
# Where memory runs out, the agent is to go before the work does.
OOMScoreAdjust=500
# Only members of this group may ask Docker how containers ended. The group can do anything there:
# SupplementaryGroups=docker
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


def unit_text(command: Sequence[str] = PACKAGED) -> str:
    """`command`: what starts the agent, word by word. The spool lies in a folder of systemd's."""
    return _UNIT.format(name=NAME, command=" ".join(map(_word, command)))


def _word(text: str) -> str:
    """As systemd reads it back: `%`, `$` and quotes mean themselves."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if not plain or set(plain) & set(" \t'\"\\;") else plain
