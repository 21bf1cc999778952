"""Programs that only Go modules have, built once into target/etc/bin."""

import os
import re
import shutil
import subprocess
import unittest

from instance import ROOT, fetched

HOME = ROOT / "target/etc/bin"
OLDEST_GO = (1, 21)


def go_program(module, version, name):
    """The path of a program; the test is skipped, and says why, where there is no Go that can build it."""
    program = HOME / f"{name}-{version}"
    if not program.exists():
        told = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False) if shutil.which("go") else None
        found = re.match(r"go(\d+)\.(\d+)", told.stdout) if told else None
        if not found or tuple(map(int, found.groups())) < OLDEST_GO:
            raise unittest.SkipTest(f"{name} takes Go {'.'.join(map(str, OLDEST_GO))} or newer")
        fresh = HOME / "fresh"
        fresh.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "GOBIN": str(fresh), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
        fetched(lambda: subprocess.run(["go", "install", f"{module}@{version}"], env=env, check=True, timeout=600))
        # Named after the last part of its path, without that of a version.
        (built,) = fresh.iterdir()
        built.replace(program)
    return program
