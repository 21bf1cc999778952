"""wrk, and what it says."""

import os
import re
import shutil
import subprocess
import sys


def find(program):
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        sys.exit(f"{program} is missing: scripts/install-deps bench")
    return path


UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 6e7}


def microseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNITS[unit]


def wrk(url, threads, connections, seconds, cpu=None, script=None):
    """Runs wrk; `script` is a file of Lua."""
    command = [find("wrk"), f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += [*(["-s", str(script)] if script else []), url]
    if cpu is not None:
        command = [find("taskset"), "-c", str(cpu), *command]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    percentile = lambda p: microseconds(re.search(rf"^\s+{p}%\s+(\S+)", out, re.M).group(1))
    bad = re.findall(r"Socket errors.*|Non-2xx.*", out)
    return {
        "requests": int(re.search(r"(\d+) requests in", out).group(1)),
        "req/s": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
        "p50 us": percentile(50),
        "p99 us": percentile(99),
        "errors": "; ".join(bad),
    }
