"""Seven questions that are asked of the work itself, each answered from its track record.

The first, whether it finishes, is answered by the score; the six others stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median, quantiles

from policies.facts import RunCause
from policies.track_record import TrackRecord
from policies.verdicts import Answer, Evidence, Question

FEW = 3
"""Below so many told values a question stays unknown."""
MEMORY_SPREAD = 0.15
"""(highest − lowest) / highest peak that still counts as predictable."""
DURATION_SPREAD = 0.5
"""(third − first quartile) / median that still counts as predictable."""
DURATION_WILD = 1.5
USED_PCT = 30.0
UNUSED_PCT = 15.0


def answers(record: TrackRecord) -> dict[Question, Evidence]:
    return {question: ask(record) for question, ask in _QUESTIONS.items()}


def has_no(record: TrackRecord) -> bool:
    """Whether any of the answers is no."""
    return any(ask(record).answer is Answer.NO for ask in _QUESTIONS.values())


def seen_of_finishing(record: TrackRecord) -> str:
    """What few runs showed. The group's rate moves the score, but is no answer of this work's."""
    if not record.runs:
        return "no run has ended"
    if not record.counted:
        ended = "1 run" if record.other == 1 else f"{record.other} runs"
        return (
            f"{ended} ended, but not by the work itself: cancelled, lost, cut off from outside or"
            " not told how"
        )
    what = {record.counted: "yes", 0: "no"}.get(record.succeeded, "either")
    noun = "run" if record.counted == 1 else "runs"
    return f"{record.succeeded} of {record.counted} {noun} completed; too few to say {what}"


def _memory(record: TrackRecord) -> Evidence:
    if RunCause.OOM in record.causes:
        return Evidence(answer=Answer.NO, evidence="a recent run ran out of memory")
    peaks = record.peaks_mib
    if len(peaks) < FEW:
        return _too_few("peak memory", len(peaks))
    low, high = min(peaks), max(peaks)
    told = f"peak memory of the last {len(peaks)} runs: {low / 1024:.1f}–{high / 1024:.1f} GiB"
    spread = (high - low) / high if high else 0.0
    return Evidence(answer=_yes_if(spread <= MEMORY_SPREAD), evidence=told)


def _environment(record: TrackRecord) -> Evidence:
    return _unchanged("environment", record.environments)


def _data(record: TrackRecord) -> Evidence:
    return _unchanged("data", record.data)


def _unchanged(what: str, fingerprints: tuple[str, ...]) -> Evidence:
    if len(fingerprints) < FEW:
        return _too_few(f"the {what}'s fingerprint", len(fingerprints))
    newest = fingerprints[-1]
    same = 0
    for fingerprint in reversed(fingerprints):
        if fingerprint != newest:
            break
        same += 1
    told = f"the same {what} in the newest {same} of {len(fingerprints)} runs"
    return Evidence(answer=_yes_if(same >= FEW), evidence=told)


def _portable(record: TrackRecord) -> Evidence:
    """Yes: the same image or code succeeded on several hosts. No: it failed wherever it moved."""
    if not record.places:
        return Evidence(
            answer=Answer.UNKNOWN, evidence="no run tells both its host and its image or code"
        )
    what = record.places[-1][0]
    won = {host for image, host, succeeded in record.places if image == what and succeeded}
    tried = {host for image, host, _ in record.places if image == what}
    told = f"the newest image or code succeeded on {len(won)} of {len(tried)} hosts"
    if len(won) > 1:
        return Evidence(answer=Answer.YES, evidence=told)
    answer = Answer.NO if len(tried) > len(won) and won else Answer.UNKNOWN
    return Evidence(answer=answer, evidence=told)


def _duration(record: TrackRecord) -> Evidence:
    durations = record.durations_s
    if len(durations) < FEW:
        return _too_few("the duration of a success", len(durations))
    first, _, third = quantiles(durations, n=4, method="inclusive")
    spread = (third - first) / median(durations) if median(durations) else 0.0
    told = (
        f"the last {len(durations)} successes took {min(durations) / 60:.0f}–"
        f"{max(durations) / 60:.0f} minutes, half of them within {spread:.0%} of the median"
    )
    if spread <= DURATION_SPREAD:
        return Evidence(answer=Answer.YES, evidence=told)
    answer = Answer.NO if spread > DURATION_WILD else Answer.UNKNOWN
    return Evidence(answer=answer, evidence=told)


def _uses_what_it_rents(record: TrackRecord) -> Evidence:
    used = record.utilisations_pct
    if len(used) < FEW:
        return _too_few("GPU utilisation", len(used))
    mean = sum(used) / len(used)
    told = f"mean GPU utilisation of the last {len(used)} runs: {mean:.0f} %"
    if mean >= USED_PCT:
        return Evidence(answer=Answer.YES, evidence=told)
    answer = Answer.NO if mean < UNUSED_PCT else Answer.UNKNOWN
    return Evidence(answer=answer, evidence=told)


def _too_few(what: str, told: int) -> Evidence:
    evidence = f"{told} of at least {FEW} runs tell {what}"
    return Evidence(answer=Answer.UNKNOWN, evidence=evidence)


def _yes_if(holds: bool) -> Answer:  # noqa: FBT001 - the name is the sentence
    return Answer.YES if holds else Answer.NO


_QUESTIONS: Mapping[Question, Callable[[TrackRecord], Evidence]] = {
    Question.MEMORY: _memory,
    Question.ENVIRONMENT: _environment,
    Question.PORTABLE: _portable,
    Question.DATA: _data,
    Question.DURATION: _duration,
    Question.USES_WHAT_IT_RENTS: _uses_what_it_rents,
}
