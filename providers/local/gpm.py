"""How much a MIG slice computes, by the hardware's own counters (Hopper and newer).

NVML's ordinary utilisation does not exist on a card in MIG mode. What these counters do not tell
stays unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from typing import Any

APART_S = 0.2
"""NVML wants at least a tenth of a second between the two looks."""


def utilisation_by_instance(
    nvml: Any,
    ask: Callable[..., Any],
    board: Any,
    instances: Collection[int],
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[int, float]:
    """Percent of the time in which anything ran, by GPU instance; without an answer none is there.

    `ask` calls NVML by name and answers None for whatever fails.
    """
    support = ask("nvmlGpmQueryDeviceSupport", board)
    if not instances or support is None or not support.isSupportedDevice:
        return {}
    looks = [(each, ask("nvmlGpmSampleAlloc"), ask("nvmlGpmSampleAlloc")) for each in instances]
    try:
        begun = [ask("nvmlGpmMigSampleGet", board, each, first) for each, first, _ in looks]
        sleep(APART_S)
        ended = [ask("nvmlGpmMigSampleGet", board, each, second) for each, _, second in looks]
        told = {
            each: _between(nvml, ask, before, after)
            for (each, _, _), before, after in zip(looks, begun, ended, strict=True)
            if before is not None and after is not None
        }
        return {each: pct for each, pct in told.items() if pct is not None}
    finally:
        for _, first, second in looks:
            for sample in (first, second):
                if sample is not None:
                    ask("nvmlGpmSampleFree", sample)


def _between(nvml: Any, ask: Callable[..., Any], before: Any, after: Any) -> float | None:
    asked = nvml.c_nvmlGpmMetricsGet_t()
    asked.version = nvml.NVML_GPM_METRICS_GET_VERSION
    asked.numMetrics = 1
    asked.sample1, asked.sample2 = before, after
    asked.metrics[0].metricId = nvml.NVML_GPM_METRIC_GRAPHICS_UTIL
    told = ask("nvmlGpmMetricsGet", asked)
    if told is None or told.metrics[0].nvmlReturn != nvml.NVML_SUCCESS:
        return None
    pct = float(told.metrics[0].value)
    return pct if isfinite(pct) else None
