"""Where the agent's parts become one: the real driver, kernel, metadata service and inbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from providers.identity import whoami
from providers.local.host import counters
from providers.local.nvml import Driver
from watchdog.agent.order import Order
from watchdog.agent.recorder import Recorder
from watchdog.agent.sender import Sender
from watchdog.agent.service import Agent, now
from watchdog.agent.spool import Spool
from watchdog.ledger.dropbox import Dropbox


def built(
    order: Order, *, say: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> Agent:
    """Raises `LedgerUrlError` where the ledger's address is none."""
    inbox = Dropbox(order.ledger, {}, with_sdk="AWS_PROFILE" in environ)
    spool = Spool(Path(order.folder))
    recorder = Recorder(
        spool=spool,
        sampler=Driver().sample,
        counters=counters,
        whoami=whoami,
        machine=order.machine,
        sample_every_s=order.sample_every_s,
        batch=timedelta(seconds=order.batch_s),
        say=say,
    )
    sender = Sender(
        spool=spool,
        inbox=inbox,
        still_open=lambda: [] if recorder.open_letter is None else [recorder.open_letter],
        clock=now,
        say=say,
    )
    return Agent(recorder=recorder, sender=sender, sample_every_s=order.sample_every_s)
