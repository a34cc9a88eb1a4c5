"""A stand-in for NVIDIA's library: C that the tests compile, read by the real `nvidia-ml-py`.

The library is loaded by its name, so each look at it is a process of its own.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from providers.base import ProviderUnavailable
from providers.local import nvml
from providers.local.nvml import Sample

ROOT = Path(__file__).resolve().parents[3]

LIBRARY = r"""
#include <stdio.h>
#include <stdlib.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT = 7 };
typedef struct { unsigned board; int slice; } Device;  /* slice -1: the whole board */
static Device boards[8], slices[8][7];

static int set(const char *name, int otherwise) {
  char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

int nvmlInitWithFlags(unsigned flags) {
  char *log = getenv("STANDIN_LOG");
  if (log) {
    FILE *file = fopen(log, "a");
    fputs("Sample\n", file);
    fclose(file);
  }
  return set("STANDIN_INIT", OK);
}
static int looks_open;
int nvmlShutdown(void) {
  if (looks_open) abort();  /* a sample was not given back */
  return OK;
}
const char *nvmlErrorString(int code) {
  return code == NOT_SUPPORTED ? "Not Supported" : "stand-in error";
}
int nvmlSystemGetDriverVersion(char *text, unsigned size) {
  snprintf(text, size, "550.54.15");
  return OK;
}
int nvmlDeviceGetCount_v2(unsigned *count) { *count = set("STANDIN_GPUS", 1); return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **handle) {
  if (index >= (unsigned)set("STANDIN_GPUS", 1)) return INVALID;
  if (index == 1 && set("STANDIN_SECOND", OK)) return set("STANDIN_SECOND", OK);
  boards[index].board = index;
  boards[index].slice = -1;
  *handle = &boards[index];
  return OK;
}
int nvmlDeviceGetName(Device *device, char *text, unsigned size) {
  snprintf(text, size, "NVIDIA A100-SXM4-80GB%s", device->slice < 0 ? "" : " MIG 3g.40gb");
  return OK;
}
int nvmlDeviceGetUUID(Device *device, char *text, unsigned size) {
  snprintf(text, size, "%s-%u-%d", device->slice < 0 ? "GPU" : "MIG", device->board, device->slice);
  return OK;
}
int nvmlDeviceGetUtilizationRates(Device *device, unsigned *rates) {
  if (set("STANDIN_MIG", 0) > 0) return NOT_SUPPORTED;  /* of the card and of its slices */
  if (set("STANDIN_RATES", OK)) return set("STANDIN_RATES", OK);
  rates[0] = set("STANDIN_PCT", 0);
  rates[1] = 1;
  return OK;
}
static unsigned long long total(Device *device) {
  return (device->slice < 0 ? 80ull : 40ull) << 30;
}
static unsigned long long held(void) {
  return (unsigned long long)set("STANDIN_HELD_MIB", 0) << 20;
}
static const unsigned long long reserve = 640ull << 20;
int nvmlDeviceGetMemoryInfo(Device *device, unsigned long long *memory) {
  if (set("STANDIN_MEMORY", OK)) return set("STANDIN_MEMORY", OK);
  memory[0] = total(device);
  memory[2] = held() + reserve;
  memory[1] = memory[0] - memory[2];
  return OK;
}
int nvmlDeviceGetMemoryInfo_v2(Device *device, unsigned long long *memory) {
  if (set("STANDIN_MEMORY", OK)) return set("STANDIN_MEMORY", OK);
  if (set("STANDIN_OLD", 0)) return 13;
  memory[1] = total(device);
  memory[2] = reserve;
  memory[4] = held();
  memory[3] = memory[1] - memory[2] - memory[4];
  return OK;
}
int nvmlDeviceGetPowerUsage(Device *device, unsigned *milliwatts) {
  if (set("STANDIN_POWER", OK)) return set("STANDIN_POWER", OK);
  *milliwatts = 61000;
  return OK;
}
typedef struct { unsigned pid; unsigned long long held; unsigned gi, ci; } Process;
int nvmlDeviceGetComputeRunningProcesses_v3(Device *device, unsigned *count, Process *processes) {
  unsigned found = set("STANDIN_PROCESSES", 0);
  if (set("STANDIN_OLD", 0)) return NOT_SUPPORTED;
  if (!found) { *count = 0; return OK; }
  if (*count < found) { *count = found; return INSUFFICIENT; }
  for (unsigned n = 0; n < found; n++) {
    processes[n].pid = 4711 + n;
    processes[n].held = n == 1 ? ~0ull : (unsigned long long)(n + 1) << 30;
  }
  *count = found;
  return OK;
}
int nvmlSystemGetProcessName(unsigned pid, char *text, unsigned size) {
  if (pid == 4712) return NOT_FOUND;
  snprintf(text, size, "%s", getenv("STANDIN_NAME") ? getenv("STANDIN_NAME") : "/usr/bin/python3");
  return OK;
}
int nvmlDeviceGetMigMode(Device *device, unsigned *now, unsigned *pending) {
  *now = *pending = set("STANDIN_MIG", 0) > 0;
  return set("STANDIN_OLD", 0) ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *count) { *count = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **handle) {
  if (index >= (unsigned)set("STANDIN_MIG", 0)) return NOT_FOUND;
  Device *slice = &slices[device->board][index];
  slice->board = device->board;
  slice->slice = index;
  *handle = slice;
  return OK;
}
int nvmlDeviceGetGpuInstanceId(Device *slice, unsigned *id) { *id = slice->slice + 7; return OK; }

/* Hardware counters (GPM), there where STANDIN_SLICE_PCT is set: the first slice rests, the others
   are that busy. */
typedef struct { unsigned instance; int looked; } Look;
typedef struct { unsigned id; int code; double value; char *names[3]; } Metric;
typedef struct { unsigned version, count; Look *before, *after; Metric metrics[]; } Asked;

int nvmlGpmQueryDeviceSupport(Device *device, unsigned *support) {
  support[1] = getenv("STANDIN_SLICE_PCT") != NULL;
  return OK;
}
int nvmlGpmSampleAlloc(Look **look) {
  *look = calloc(1, sizeof **look);
  looks_open++;
  return OK;
}
int nvmlGpmSampleFree(Look *look) { free(look); looks_open--; return OK; }
int nvmlGpmMigSampleGet(Device *device, unsigned instance, Look *look) {
  static int looked;
  if (instance < 7 || device->slice >= 0) return INVALID;
  look->instance = instance;
  look->looked = ++looked;
  return OK;
}
int nvmlGpmMetricsGet(Asked *asked) {
  Look *before = asked->before, *after = asked->after;
  if (asked->version != 1 || asked->count != 1 || asked->metrics[0].id != 1) return INVALID;
  if (before->instance != after->instance || before->looked >= after->looked) return INVALID;
  asked->metrics[0].code = set("STANDIN_COUNTER", OK);
  asked->metrics[0].value = after->instance == 7 ? 0 : set("STANDIN_SLICE_PCT", 0);
  return OK;
}
"""

READER = """
import pickle, sys
from providers.base import ProviderUnavailable
from providers.local import nvml
try:
    told = nvml.sample()
except ProviderUnavailable as why:
    told = str(why)
sys.stdout.buffer.write(pickle.dumps(told))
"""


def compiled(folder: Path) -> Path:
    """The folder of the library; skips where it cannot be built or read."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here: the stand-in for NVIDIA's library cannot be compiled")
    if not nvml.installed():
        pytest.skip("nvidia-ml-py is not here: nothing can read the stand-in library")
    target = folder / "libnvidia-ml.so.1"
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-x", "c", "-", "-o", str(target)]
    subprocess.run(command, input=LIBRARY, text=True, check=True)
    return folder


@dataclass
class Desk:
    """A workstation whose driver answers as `says` tells it to."""

    library: Path
    says: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        return {"LD_LIBRARY_PATH": str(self.library), **self.says}

    def sample(self) -> Sample:
        """What `providers.local.nvml` reads there."""
        done = subprocess.run(
            [sys.executable, "-c", READER],
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()
        told = pickle.loads(done.stdout)
        if isinstance(told, str):
            raise ProviderUnavailable(told)
        assert isinstance(told, Sample)
        return told
