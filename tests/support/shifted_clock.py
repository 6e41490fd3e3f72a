"""A wall clock that a test moves: for a host and all that it starts, and for nobody else on the machine."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("TEST_CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) shift = page;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int answer = real_clock_gettime(clock, time);
    if (answer == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *shift;
    return answer;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    value->tv_sec = now.tv_sec;
    value->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
"""


class ShiftedClock:
    """What a program is to have in its environment, and by how many seconds its clock is wrong."""

    def __init__(self, folder: Path, name: str, library: Path, seconds: int = 0) -> None:
        self._file = folder / f"clock-of-{name}"
        self.environment = {"LD_PRELOAD": str(library), "TEST_CLOCK_SHIFT": str(self._file)}
        self._file.write_bytes(struct.pack("q", seconds))

    def shift(self, seconds: int) -> None:
        """From now on the clock is wrong by this much."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("q", seconds))


def build_library(folder: Path) -> Path:
    """The library that shifts. Skips the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler here, which builds what shifts the clock")
    source, library = folder / "shifted.c", folder / "shifted.so"
    source.write_text(LIBRARY)
    built = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"what shifts the clock can't be built here: {built.stderr[:200]}")
    return library
