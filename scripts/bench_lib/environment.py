"""The machine, the code and the date of a measurement."""

import datetime
import functools
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def built(program, command):
    """The path of a program; if it is not there, the script ends and says what makes it."""
    if not pathlib.Path(program).exists():
        sys.exit(f"{program} is not there: {command} makes it")
    return str(program)


@functools.cache
def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    memory = int(re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M).group(1))
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "virtual": "hypervisor" in text,
    }


@functools.cache
def commit():
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs", ":!README.md")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + (" and changes" if changed else "")


def today():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
