"""After a whole run: each entry of differences.py has been seen to differ. How the suite is run: see README.md."""

import os
import pathlib
import shutil
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent
SEEN = "OXICORN_TESTS_SEEN"


def pytest_configure(config):
    # The workers of xdist inherit it.
    if not hasattr(config, "workerinput"):
        os.environ[SEEN] = tempfile.mkdtemp(prefix="oxicorn-tests-")


def pytest_sessionfinish(session, exitstatus):
    config = session.config
    if hasattr(config, "workerinput"):
        return
    seen = set(os.listdir(os.environ[SEEN]))
    shutil.rmtree(os.environ[SEEN])
    is_whole = [pathlib.Path(argument).resolve() for argument in config.args] == [TESTS]
    if exitstatus or not is_whole or config.option.keyword or config.option.markexpr or config.option.collectonly:
        return
    from differences import DIFFERENCES

    for number, entry in enumerate(DIFFERENCES):
        if str(number) not in seen:
            print(f"\ndifferences.py: no case shows {entry.case!r}, {entry.fact!r}: take it out")
            session.exitstatus = 1
