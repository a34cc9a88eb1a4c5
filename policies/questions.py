"""Seven questions that are asked of the work itself, each answered from its track record.

The first, whether it finishes, is answered by the score; the six others stand here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
    return {question: ask(record) for question, (_, ask) in _QUESTIONS.items()}


def has_no(record: TrackRecord) -> bool:
    """Whether any of the answers is no. Without their sentences, for a replay asks it millions of
    times.
    """
    return any(answer(record) is Answer.NO for answer, _ in _QUESTIONS.values())


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


def _memory_answer(record: TrackRecord) -> Answer:
    if RunCause.OOM in record.causes:
        return Answer.NO
    peaks = record.peaks_mib
    if len(peaks) < FEW:
        return Answer.UNKNOWN
    low, high = min(peaks), max(peaks)
    return _yes_if((high - low) <= MEMORY_SPREAD * high)


def _memory(record: TrackRecord) -> Evidence:
    answer, peaks = _memory_answer(record), record.peaks_mib
    if RunCause.OOM in record.causes:
        return Evidence(answer=answer, evidence="a recent run ran out of memory")
    if len(peaks) < FEW:
        return _too_few("peak memory", len(peaks))
    low, high = min(peaks) / 1024, max(peaks) / 1024
    told = f"peak memory of the last {len(peaks)} runs: {low:.1f}–{high:.1f} GiB"
    return Evidence(answer=answer, evidence=told)


def _environment_answer(record: TrackRecord) -> Answer:
    return _unchanged_answer(record.environments)


def _environment(record: TrackRecord) -> Evidence:
    return _unchanged("environment", record.environments)


def _data_answer(record: TrackRecord) -> Answer:
    return _unchanged_answer(record.data)


def _data(record: TrackRecord) -> Evidence:
    return _unchanged("data", record.data)


def _unchanged_answer(fingerprints: tuple[str, ...]) -> Answer:
    if len(fingerprints) < FEW:
        return Answer.UNKNOWN
    return _yes_if(len(set(fingerprints[-FEW:])) == 1)


def _unchanged(what: str, fingerprints: tuple[str, ...]) -> Evidence:
    if len(fingerprints) < FEW:
        return _too_few(f"the {what}'s fingerprint", len(fingerprints))
    same = 0
    for fingerprint in reversed(fingerprints):
        if fingerprint != fingerprints[-1]:
            break
        same += 1
    told = f"the same {what} in the newest {same} of {len(fingerprints)} runs"
    return Evidence(answer=_unchanged_answer(fingerprints), evidence=told)


def _portable_answer(record: TrackRecord) -> Answer:
    """Yes: the same image or code succeeded on several hosts. No: it failed wherever it moved."""
    if not record.places:
        return Answer.UNKNOWN
    tried, won = _places(record)
    if len(won) > 1:
        return Answer.YES
    return Answer.NO if len(tried) > len(won) and won else Answer.UNKNOWN


def _portable(record: TrackRecord) -> Evidence:
    answer = _portable_answer(record)
    if not record.places:
        return Evidence(answer=answer, evidence="no run tells both its host and its image or code")
    tried, won = _places(record)
    told = f"the newest image or code succeeded on {len(won)} of {len(tried)} hosts"
    return Evidence(answer=answer, evidence=told)


def _places(record: TrackRecord) -> tuple[set[str], set[str]]:
    """Hosts on which the newest image or code was tried, and those on which it succeeded."""
    what = record.places[-1][0]
    tried = {host for image, host, _ in record.places if image == what}
    won = {host for image, host, succeeded in record.places if image == what and succeeded}
    return tried, won


def _duration_answer(record: TrackRecord) -> Answer:
    if len(record.durations_s) < FEW:
        return Answer.UNKNOWN
    spread = _spread(record.durations_s)
    if spread <= DURATION_SPREAD:
        return Answer.YES
    return Answer.NO if spread > DURATION_WILD else Answer.UNKNOWN


def _duration(record: TrackRecord) -> Evidence:
    durations = record.durations_s
    if len(durations) < FEW:
        return _too_few("the duration of a success", len(durations))
    told = (
        f"the last {len(durations)} successes took {min(durations) / 60:.0f}–"
        f"{max(durations) / 60:.0f} minutes, half of them within {_spread(durations):.0%} of the"
        " median"
    )
    return Evidence(answer=_duration_answer(record), evidence=told)


def _spread(values: tuple[float, ...]) -> float:
    """(third − first quartile) / median; quartiles between the two nearest values."""
    ordered = sorted(values)
    middle = _quantile(ordered, 0.5)
    return (_quantile(ordered, 0.75) - _quantile(ordered, 0.25)) / middle if middle else 0.0


def _quantile(ordered: list[float], share: float) -> float:
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _use_answer(record: TrackRecord) -> Answer:
    used = record.utilisations_pct
    if len(used) < FEW:
        return Answer.UNKNOWN
    mean = sum(used) / len(used)
    if mean >= USED_PCT:
        return Answer.YES
    return Answer.NO if mean < UNUSED_PCT else Answer.UNKNOWN


def _use(record: TrackRecord) -> Evidence:
    used = record.utilisations_pct
    if len(used) < FEW:
        return _too_few("GPU utilisation", len(used))
    told = f"mean GPU utilisation of the last {len(used)} runs: {sum(used) / len(used):.0f} %"
    return Evidence(answer=_use_answer(record), evidence=told)


def _too_few(what: str, told: int) -> Evidence:
    evidence = f"{told} of at least {FEW} runs tell {what}"
    return Evidence(answer=Answer.UNKNOWN, evidence=evidence)


def _yes_if(holds: bool) -> Answer:  # noqa: FBT001 - the name is the sentence
    return Answer.YES if holds else Answer.NO


_QUESTIONS: Mapping[
    Question, tuple[Callable[[TrackRecord], Answer], Callable[[TrackRecord], Evidence]]
] = {
    Question.MEMORY: (_memory_answer, _memory),
    Question.ENVIRONMENT: (_environment_answer, _environment),
    Question.PORTABLE: (_portable_answer, _portable),
    Question.DATA: (_data_answer, _data),
    Question.DURATION: (_duration_answer, _duration),
    Question.USES_WHAT_IT_RENTS: (_use_answer, _use),
}
"""The answer alone, and the answer with its evidence."""
