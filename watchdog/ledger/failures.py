"""What can go wrong with the store, in one line each: what is wrong, where, and what to do."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError


class LedgerError(Exception):
    """The ledger cannot do what was asked."""

    exit_code = 1


class LedgerUrlError(LedgerError):
    """The ledger's address cannot be one."""

    exit_code = 2


class NoSuchViewError(LedgerError):
    """Nothing that can be exported is called so."""

    exit_code = 2


class NothingThereError(LedgerError):
    """There is no ledger, or a table of it was never made."""


class LedgerBusyError(LedgerError):
    """Somebody else rewrites the same table at the same time. Nothing was changed."""


_HEAVY = (("deltalake.exceptions", "DeltaError"), ("duckdb", "Error"))
"""Libraries that the agent, which only drops objects, must not load; and what they raise."""


def foreign() -> tuple[type[BaseException], ...]:
    """What the libraries below raise; one that is not loaded raises nothing.

    A missing bucket or object is an `OSError` of obstore's.
    """
    loaded = [(sys.modules.get(module), name) for module, name in _HEAVY]
    return (BaseError, OSError, *(getattr(m, name) for m, name in loaded if m is not None))


_KNOWN = (
    (
        r"No space left on device|StorageFull|File too large|Disk quota exceeded",
        "the disk is full; nothing was added: free some space and run the command again",
    ),
    (
        r"Read-only file system",
        "its disk is read-only: mount it for writing, or name another ledger",
    ),
    (
        r"Permission denied|Operation not permitted",
        "the system does not allow it: check who owns the folder, or name another ledger",
    ),
    (
        r"Not a directory|File exists",
        "a file lies where its folder should be: move it away, or name another ledger",
    ),
    (
        r"No files found that match|No magic bytes|too small to be a Parquet file",
        "a data file is missing or cut off: restore it from a backup",
    ),
    (
        r"NoSuchBucket|NoSuchContainer|ContainerNotFound|specified bucket does not exist",
        "there is no such bucket: create it, or correct the ledger's URL",
    ),
    (
        r"Account must be specified",
        "say which storage account: set AZURE_STORAGE_ACCOUNT_NAME",
    ),
    (
        r"169\.254\.169\.254|metadata\.google\.internal|169\.254\.170\.2",
        "no credentials were found for the bucket: sign in, or set them in the environment",
    ),
    (
        r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|\b40[13] [A-Z]",
        "access was refused: check the credentials and what their role may do in the bucket",
    ),
    (
        r"error sending request|[Cc]onnection refused|timed out|dns error|\b50[0234] [A-Z]",
        "it cannot be reached: check the network, the URL and any endpoint setting",
    ),
    (
        r"transaction: ?\d+",
        "too many others were writing at the same time: run the command again",
    ),
)
_ADVICE = tuple((re.compile(pattern), advice) for pattern, advice in _KNOWN)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DEBUG = re.compile(r"\n\s*(Debug source:|stack backtrace:|\d+: |LINE \d+:)", re.DOTALL)
_LONGEST = 160


@contextmanager
def told_as(what: str) -> Iterator[None]:
    """Errors of the libraries become one line that begins with `what`."""
    try:
        yield
    except foreign() as error:
        raise LedgerError(f"{what}: {explained(error)}") from error


def explained(error: BaseException) -> str:
    """What to do about it where that is known, and what the library said."""
    text = _COLOUR.sub("", str(error))
    said = shortened(text)
    for pattern, advice in _ADVICE:
        if pattern.search(text):
            return f"{advice} ({said})"
    return said


def shortened(text: str) -> str:
    """The telling part of a library's message, on one line."""
    head = _DEBUG.split(text, maxsplit=1)[0]
    line = " ".join(head.replace("↳", " ").split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
