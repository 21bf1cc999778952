#!/usr/bin/env python3
"""etc/docker: built by a real builder, and run as process 1 by what the images say.

    cargo build --workspace --examples --bins && python3 -B tests/etc/images_test.py
"""

import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from images import build, configuration, files, stand_ins
from instance import LONG, until
from sandbox import Container

SERVICE, OWN, EXAMPLE = "oxicorn-service", "oxicorn-shop", "oxicorn-example"
TASKS = "/api/v1/eventstreammonitor/tasks"
APPLICATION = '''
import os, time
import flask


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/hold":
        open("/tmp/held", "w").close()
        while not os.path.exists("/tmp/gate"):
            time.sleep(0.01)
    if path == "/orphan":
        child = os.fork()
        if child == 0:
            # Its own child outlives it by a moment, and is then nobody's.
            if os.fork() == 0:
                time.sleep(0.1)
            os._exit(0)
        os.waitpid(child, 0)
    return [f"{os.getuid()} {flask.__name__} {path}\\n".encode()]
'''


def setUpModule():
    stand_ins()


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        build("Dockerfile", SERVICE)
        build("Dockerfile.wsgi", EXAMPLE)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "wsgi.py").write_text(APPLICATION)
            (Path(folder) / "requirements.txt").write_text("flask\n")
            build("Dockerfile.wsgi", OWN, "--build-context", f"app={folder}")

    def test_they_say_who_runs_and_how_it_ends(self):
        for tag in (SERVICE, OWN, EXAMPLE):
            with self.subTest(tag):
                told = configuration(tag)
                self.assertEqual((told["User"], told["StopSignal"]), ("10001:10001", "SIGTERM"))
                self.assertEqual((len(told["Entrypoint"]), told["Entrypoint"][0][-8:]), (1, "/oxicorn"))
                # Not CMD-SHELL.
                self.assertEqual(told["Healthcheck"]["Test"][:2], ["CMD", told["Entrypoint"][0]])
                self.assertEqual(len(told["ExposedPorts"]), 1)

    def test_what_they_were_built_with_is_not_in_them(self):
        for tag in (SERVICE, OWN):
            with self.subTest(tag), files(tag) as root:
                found = [path for path in ("oxicorn", "out", "wheels", "warm/debug", "usr/bin/cc", "maturin") if (root / path).exists()]
                self.assertEqual(found, [])

    def test_the_context_is_what_a_build_needs(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "Dockerfile"
            file.write_text("FROM scratch\nCOPY . /\n")
            build(file, "oxicorn-context")
        with files("oxicorn-context") as root:
            names = {path.name for path in root.iterdir()}
            self.assertLessEqual({"Cargo.lock", "Cargo.toml", "README.md", "common", "etc", "master", "python"}, names)
            self.assertFalse(names & {".git", "target", "docs", "tests", "scripts", "CHANGELOG.md"})
            self.assertEqual([path.name for path in (root / "etc").iterdir()], ["docker"])
            size = sum(path.lstat().st_size for path in root.rglob("*"))
            self.assertLess(size, 8 << 20)

    def run_image(self, tag, root, flags=()):
        return Container(root, configuration(tag), flags)

    def healthy(self, container):
        check = container.configuration["Healthcheck"]["Test"][1:]
        told = container.run(*check)
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)

    def test_the_service_serves_and_ends_as_process_1(self):
        with files(SERVICE) as root, self.run_image(SERVICE, root) as container:
            container.until_ready(5002, "/health")
            self.assertEqual(container.get(5002, TASKS), 200)
            self.healthy(container)
            status = Path(f"/proc/{container.first()}/status").read_text()
            self.assertRegex(status, r"(?m)^Uid:\t10001\t10001")
            self.assertRegex(status, r"(?m)^NSpid:\t\d+\t1$")
            # No shell.
            self.assertEqual(Path(os.readlink(f"/proc/{container.first()}/exe")), root / "usr/local/bin/oxicorn")
            container.signal(signal.Signals[container.configuration["StopSignal"]])
            self.assertEqual(container.process.wait(LONG), 0, container.log())
            self.assertIn("Shutting down: Master", container.log())

    def test_the_example_application_serves(self):
        with files(EXAMPLE) as root, self.run_image(EXAMPLE, root) as container:
            container.until_ready(8000, "/health")
            self.assertEqual(container.enter("--net", "curl", "--silent", "http://127.0.0.1:8000/").stdout, "Hello from a container!\n")
            self.healthy(container)

    def test_an_application_finishes_its_requests_and_leaves_nobody_behind(self):
        with files(OWN) as root, self.run_image(OWN, root) as container:
            container.until_ready(8000, "/health")
            said = container.enter("--net", "curl", "--silent", "http://127.0.0.1:8000/x").stdout
            self.assertEqual(said, "10001 flask /x\n")
            self.healthy(container)
            for _ in range(5):
                self.assertEqual(container.get(8000, "/orphan"), 200)
            until("process 1 has reaped all that nobody waits for", lambda: not zombies(container.first()), LONG)
            held = subprocess.Popen(
                ["nsenter", "--target", str(container.first()), "--net", "curl", "--silent", "http://127.0.0.1:8000/hold"],
                stdout=subprocess.PIPE, text=True,
            )
            until("a request under way", lambda: (root / "tmp/held").exists(), LONG)
            container.signal(signal.SIGTERM)
            until("the end has begun", lambda: "Handling signal: term" in container.log(), LONG)
            (root / "tmp/gate").touch()
            self.assertEqual(held.communicate(timeout=LONG)[0], "10001 flask /hold\n")
            self.assertEqual(container.process.wait(LONG), 0, container.log())


def zombies(first):
    """The dead processes of the namespace of `first`."""
    namespace, found = os.stat(f"/proc/{first}/ns/pid").st_ino, []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            dead = process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if dead and os.stat(process / "ns/pid").st_ino == namespace:
                found.append(process.name)
        except OSError:
            continue
    return found


if __name__ == "__main__":
    unittest.main()
