"""How mature a workload is: seven questions, a score and a verdict, from its track record.

The score is the finishing rate with shrinkage: a workload with few runs is judged by its group's
rate, a group with few by the fleet's. Each level adds `PRIOR_RUNS` imagined runs at the rate of the
level above it (empirical Bayes with a fixed strength).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from statistics import median, quantiles

from policies.facts import Run, RunCause, WorkloadKey
from policies.track_record import TrackRecord, track_records
from policies.verdicts import Answer, Evidence, Maturity, Question, Verdict

PRIOR_RUNS = 4.0
FEW = 3
"""Below so many told values a question stays unknown."""
FINISHES_AT = 0.8
"""The score from which the answer to *does it finish* is yes."""
ENOUGH_RUNS = 5
"""Successes of more than a minute before a workload may be mature."""
ENOUGH_GPU_HOURS = 1.0
MEMORY_SPREAD = 0.15
"""(highest − lowest) / highest peak that still counts as predictable."""
DURATION_SPREAD = 0.5
"""(third − first quartile) / median that still counts as predictable."""
DURATION_WILD = 1.5
USED_PCT = 30.0
UNUSED_PCT = 15.0
Z_90 = 1.645


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A finishing rate and the number of runs behind it, imagined ones included."""

    value: float
    weight: float


def assess(runs: Iterable[Run], *, as_of: datetime) -> dict[WorkloadKey, Maturity]:
    """The maturity of every workload that has a run, from what was known at `as_of`."""
    records = track_records(run for run in runs if _known(run, as_of))
    fleet = _rate(_counts(records.values()), Rate(value=0.5, weight=2.0))
    groups = {
        group: _rate(
            _counts(record for key, record in records.items() if key.group == group), fleet
        )
        for group in {key.group for key in records}
    }
    return {key: judged(record, groups[key.group], as_of) for key, record in records.items()}


def unknown_maturity(as_of: datetime) -> Maturity:
    """The maturity of a workload without a single run."""
    return judged(TrackRecord(), Rate(value=0.5, weight=2.0), as_of)


def matching(
    maturities: Mapping[WorkloadKey, Maturity], key: WorkloadKey | None
) -> Maturity | None:
    """The maturity for a key; where the group is told on one side only, the name must be unique."""
    if key is None:
        return None
    if key in maturities:
        return maturities[key]
    same_name = [other for other in maturities if other.name == key.name]
    if len(same_name) != 1 or (key.group is not None and same_name[0].group is not None):
        return None
    return maturities[same_name[0]]


def judged(record: TrackRecord, group: Rate, as_of: datetime) -> Maturity:
    """One workload's maturity from its record and its group's rate."""
    rate = _rate((record.succeeded, record.counted), group)
    questions = {
        Question.FINISHES: _finishes(record, rate),
        **{question: ask(record) for question, ask in _QUESTIONS.items()},
    }
    missing = _missing(record, questions)
    low, high = _interval(rate)
    known = record.counted > 0
    return Maturity(
        verdict=_verdict(record, missing),
        score=round(rate.value, 4) if known else None,
        low=low if known else None,
        high=high if known else None,
        runs=record.runs,
        succeeded=record.succeeded,
        failed=record.failed,
        gpu_hours=_gpu_hours(record),
        questions=questions,
        missing=missing,
        proven_gpus=record.proven_gpus,
        as_of=as_of,
    )


def _known(run: Run, as_of: datetime) -> bool:
    return (run.ended_at or run.started_at) <= as_of


def _counts(records: Iterable[TrackRecord]) -> tuple[int, int]:
    told = [(record.succeeded, record.counted) for record in records]
    return sum(succeeded for succeeded, _ in told), sum(counted for _, counted in told)


def _rate(counts: tuple[int, int], above: Rate) -> Rate:
    succeeded, counted = counts
    weight = counted + PRIOR_RUNS
    return Rate(value=(succeeded + PRIOR_RUNS * above.value) / weight, weight=weight)


def _interval(rate: Rate) -> tuple[float, float]:
    """A 90 % Wilson interval: Wilson 1927, JASA 22, 209-212."""
    n, p = rate.weight, rate.value
    middle = (p + Z_90**2 / (2 * n)) / (1 + Z_90**2 / n)
    half = Z_90 / (1 + Z_90**2 / n) * sqrt(p * (1 - p) / n + Z_90**2 / (4 * n * n))
    return round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)


def _gpu_hours(record: TrackRecord) -> float | None:
    if record.runs == record.untold_gpu_hours:
        return None
    return round(record.gpu_hours, 3)


def _verdict(record: TrackRecord, missing: tuple[str, ...]) -> Verdict:
    """Only a run that the work itself ended, well or badly, says whether it still searches."""
    if not record.counted:
        return Verdict.UNKNOWN
    return Verdict.EXPLORATORY if missing else Verdict.MATURE


def _missing(record: TrackRecord, questions: Mapping[Question, Evidence]) -> tuple[str, ...]:
    """What stands between this workload and `mature`."""
    missing = []
    if questions[Question.FINISHES].answer is not Answer.YES:
        missing.append(f"it must finish: {questions[Question.FINISHES].evidence}")
    if record.substantial < ENOUGH_RUNS:
        missing.append(
            f"{ENOUGH_RUNS - record.substantial} more successful runs of over a minute"
            f" (has {record.substantial} of {ENOUGH_RUNS})"
        )
    hours = _gpu_hours(record)
    if hours is None:
        missing.append("GPU-hours: no run tells its end and its number of GPUs")
    elif hours < ENOUGH_GPU_HOURS:
        missing.append(f"{ENOUGH_GPU_HOURS - hours:.2f} more GPU-hours of runs")
    missing.extend(
        f"{question.value}: {evidence.evidence}"
        for question, evidence in questions.items()
        if evidence.answer is Answer.NO and question is not Question.FINISHES
    )
    return tuple(missing)


def _finishes(record: TrackRecord, rate: Rate) -> Evidence:
    if record.counted < FEW:
        return Evidence(answer=Answer.UNKNOWN, evidence=_seen_of_finishing(record))
    told = (
        f"{record.succeeded} of {record.counted} runs that count succeeded;"
        f" {rate.value:.0%} once few runs are shrunk toward the group's rate"
    )
    return Evidence(answer=_yes_if(rate.value >= FINISHES_AT), evidence=told)


def _seen_of_finishing(record: TrackRecord) -> str:
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
