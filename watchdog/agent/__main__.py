"""The agent's own process: `python -m watchdog.agent ORDER`, begun by `spend-watchdog agent`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from watchdog.agent.building import built
from watchdog.agent.order import Order
from watchdog.agent.service import alone, run
from watchdog.ledger.failures import LedgerError

SPOOL_UNFIT = 2


def main(order: Order) -> int:
    """The exit code: 0 ended as asked, 1 or 2 as `spend-watchdog` has them."""
    folder = Path(order.folder)
    try:
        with alone(folder, say) as free:
            if free:
                run(built(order, say=say), looks=order.looks)
    except LedgerError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        say(f"{folder}: cannot hold the spool: {error}; name another folder with --spool")
        return SPOOL_UNFIT
    return 0


def say(text: str) -> None:
    print(f"spend-watchdog agent: {text}", file=sys.stderr, flush=True)  # noqa: T201 - its log


if __name__ == "__main__":
    code = main(Order.read(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)  # a silent ledger must not hold up the machine's shutdown
