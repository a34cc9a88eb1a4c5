"""Multipart uploads that nobody finished: billed, and in no listing of objects."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from policies.facts import utc
from providers.errors import AnswerCut

PAGES_AT_MOST = 100
A_DAY = timedelta(days=1)


def unfinished_uploads(s3: Any, bucket: str, now: datetime) -> str | None:
    """How many there are and since when, in a sentence; None where there is none.

    What their parts hold stands in the bucket's size; to count it apart, each upload would have to
    be asked for by itself.
    """
    started = []
    marker: dict[str, str] = {}
    for _ in range(PAGES_AT_MOST):
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=1000, **marker)
        if "IsTruncated" not in page:
            raise AnswerCut("no IsTruncated in it")
        started += [utc(raw["Initiated"]) for raw in page.get("Uploads", ())]
        if not page["IsTruncated"]:
            return _told(started, now)
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
    raise AnswerCut("its pages do not end")


def _told(started: list[datetime], now: datetime) -> str | None:
    if not started:
        return None
    count = "1 unfinished upload" if len(started) == 1 else f"{len(started)} unfinished uploads"
    days = (now - min(started)) // A_DAY
    return (
        f"{count}, the oldest {days} days old, are billed too: a lifecycle rule"
        " AbortIncompleteMultipartUpload would end them"
    )
