#!/usr/bin/env python3
"""etc/logrotate.d: a real logrotate over the logs of a real server under load, and each line is there once.

    cargo build --workspace --examples --bins && python3 -B tests/etc/logrotate_test.py
"""

import collections
import contextlib
import gzip
import http.client
import itertools
import os
import pwd
import re
import shutil
import subprocess
import sys
import unittest

from balancer import shipped
from instance import BUILT, LONG, ClientThreads, Instance, until

ROUNDS, CLIENTS = 6, 4
# The user of the file, whose workers open the new logs.
USER = "www-data"
# What the file does when the logs have new names.
REOPEN = "test ! -S /run/oxicorn-wsgi/control || /srv/app/venv/bin/oxicorn ctl --socket /run/oxicorn-wsgi/control reopen >/dev/null"
# The files, and what comes before the number of a request in each of its lines.
LINES = (("access.log", "GET /log?text="), ("error.log", "front "), ("error.log", "back "))


class Writers(ClientThreads):
    """They cause a line of the access log and a line of the error log per request, each with a number of its own."""

    def __init__(self, port):
        super().__init__(CLIENTS, 2 * LONG)
        self.port = port
        self.answered = [0] * CLIENTS
        self.errors = []

    def go_on(self, count=60):
        wanted = [have + count for have in self.answered]
        until("more answers", lambda: self.errors or all(have >= want for have, want in zip(self.answered, wanted)), LONG)
        assert not self.errors, self.errors

    def expected(self):
        return {f"{client}-{serial}" for client, count in enumerate(self.answered) for serial in range(count)}

    def run(self, number):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONG)) as connection:
            for serial in itertools.count():
                if self.done.is_set():
                    return
                try:
                    connection.request("GET", f"/log?text={number}-{serial}.")
                    assert connection.getresponse().read() is not None
                    self.answered[number] += 1
                except (OSError, http.client.HTTPException) as error:
                    self.errors.append(repr(error))
                    return


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("logrotate"), "takes root, and logrotate: scripts/install-deps etc")
class Logrotate(unittest.TestCase):
    @contextlib.contextmanager
    def server(self):
        """One whose workers are not root."""
        flags = ("--access-logfile", "logs/access.log", "--access-logformat", "%(r)s", "--user", USER, "--group", USER)
        server = Instance(flags=flags, log="logs/error.log")
        (server.folder / "logs").mkdir()
        with server:
            yield server

    def rotate(self, server, changes):
        """What cron does, whether it is time or not. `compress` needs what is not in use any more: the file of the round before."""
        own = {"/var/log/oxicorn/": f"{server.folder}/logs/", "/run/oxicorn-wsgi/control": f"{server.folder}/control"}
        own["/srv/app/venv/bin/oxicorn"] = f"{BUILT}/oxicorn"
        file = server.folder / "logrotate.conf"
        text = shipped("logrotate.d/oxicorn", changes)
        for old, new in own.items():
            text = text.replace(old, new)
        file.write_text(text)
        told = subprocess.run(
            ["logrotate", "--force", "--state", server.folder / "state", file], capture_output=True, text=True, timeout=LONG, check=False,
        )
        self.assertEqual((told.returncode, told.stderr), (0, ""))

    def texts(self, server, name):
        """Of all files of a log."""
        for path in (server.folder / "logs").glob(f"{name}*"):
            yield (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()

    def numbers(self, server, name, word):
        """How often each number follows a word of a log."""
        found = re.compile(rf"{re.escape(word)}(\d+-\d+)[.]")
        return collections.Counter(number for text in self.texts(server, name) for number in found.findall(text))

    def test_no_line_is_lost_and_none_is_there_twice(self):
        for way in ("ctl reopen", "USR1"):
            with self.subTest(way), self.server() as server:
                changes = {} if way == "ctl reopen" else {REOPEN: f"kill -USR1 $(cat {server.folder}/pid)"}
                with Writers(server.port) as writers:
                    for _ in range(ROUNDS):
                        writers.go_on()
                        self.rotate(server, changes)
                    writers.go_on()
                for name, word in LINES:
                    expected = collections.Counter(writers.expected())
                    # A line is written after its response.
                    until(f"{word}: all lines, once", lambda: self.numbers(server, name, word) == expected, 60)
                files = {path.name: path.stat() for path in (server.folder / "logs").iterdir()}
                for name in ("access.log", "error.log"):
                    rotated = {f"{name}.1", *(f"{name}.{number}.gz" for number in range(2, ROUNDS + 1))}
                    self.assertEqual({it for it in files if it.startswith(name)}, {name, *rotated})
                    self.assertEqual((files[name].st_mode & 0o777, files[name].st_uid), (0o640, pwd.getpwnam(USER).pw_uid))

    def test_copytruncate_loses_lines_and_nothing_else(self):
        """How many is chance, often none: they are counted here, and not asserted."""
        changes = {"    create 0640 www-data adm\n": "    copytruncate\n", REOPEN: "true"}
        with self.server() as server:
            with Writers(server.port) as writers:
                for _ in range(ROUNDS):
                    writers.go_on()
                    self.rotate(server, changes)
                writers.go_on()
            expected = collections.Counter(writers.expected())
            # The server goes on at the beginning of the file that it has open.
            last = {f"{client}-{count - 1}" for client, count in enumerate(writers.answered)}
            until("the last lines", lambda: last <= self.numbers(server, "access.log", "GET /log?text=").keys(), 60)
            for name, word in LINES:
                found = self.numbers(server, name, word)
                self.assertLessEqual(found, expected)
                self.assertFalse([text for text in self.texts(server, name) if "\0" in text])
                print(f"copytruncate: {(expected - found).total()} of {expected.total()} lines of {name} are lost", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
