"""Where the agent's parts become one: the real driver, kernel, metadata service and inbox."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from watchdog.agent.letters import Letters
from watchdog.agent.order import Order
from watchdog.agent.recorder import Recorder
from watchdog.agent.sender import Sender
from watchdog.agent.senses import of_this_machine
from watchdog.agent.service import Agent, now
from watchdog.agent.spool import Spool
from watchdog.ledger.dropbox import Dropbox


def built(
    order: Order, *, say: Callable[[str], None], environ: Mapping[str, str] = os.environ
) -> Agent:
    """Raises `LedgerUrlError` where the ledger's address is none."""
    spool = Spool(Path(order.folder))
    letters = Letters(spool, batch=timedelta(seconds=order.batch_s), say=say)
    recorder = Recorder(
        of_this_machine(),
        letters,
        machine=order.machine,
        sample_every_s=order.sample_every_s,
        say=say,
    )
    inbox = Dropbox(order.ledger, region=lambda: recorder.region, with_sdk="AWS_PROFILE" in environ)
    sender = Sender(
        spool=spool, inbox=inbox, still_open=lambda: letters.still_open, clock=now, say=say
    )
    return Agent(recorder=recorder, sender=sender, sample_every_s=order.sample_every_s)
