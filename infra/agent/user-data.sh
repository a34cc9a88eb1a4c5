#!/bin/sh
# Cloud-init user data: one line makes a GPU machine speak for itself. Put in your ledger's URL.
# The machine's role needs infra/aws/agent-policy.json and nothing else (docs/agent.md: Google, Azure).
python3 -m venv /opt/spend-watchdog && /opt/spend-watchdog/bin/pip install -q "cloud-spend-watchdog[gpu]" && /opt/spend-watchdog/bin/spend-watchdog agent --ledger s3://LEDGER-BUCKET/LEDGER-FOLDER --print-unit >/etc/systemd/system/spend-watchdog-agent.service && systemctl enable --now spend-watchdog-agent
