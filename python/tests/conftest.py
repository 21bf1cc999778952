"""Shared fixtures. After a whole run it checks that each entry of differences.py was seen to differ. README.md says how to run the suite."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
SEEN = "OXICORN_TESTS_SEEN"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with cert.pem and key.pem, for localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )
    return folder


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
