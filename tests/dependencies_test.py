#!/usr/bin/env python3
"""What the wheel and the library link, and which of our crates may depend on which.

    python3 tests/dependencies_test.py
"""

import json
import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
# What only the task service links: databases, brokers, and the work of its tasks.
OF_THE_SERVICE = {
    "csv", "image", "kafka", "libsqlite3-sys", "oxicorn-service", "postgres", "r2d2", "rdkafka", "rdkafka-sys", "redis", "rusqlite",
    "tokio", "tokio-postgres",
}  # fmt: skip
# common <- worker <- master <- python, common <- service <- master, and common <- admin <- master.
MAY_DEPEND_ON = {
    "oxicorn-common": set(),
    "oxicorn-worker": {"oxicorn-common"},
    "oxicorn-service": {"oxicorn-common"},
    "oxicorn-admin": {"oxicorn-common"},
    "oxicorn": {"oxicorn-common", "oxicorn-worker", "oxicorn-service", "oxicorn-admin"},
    "oxicorn-python": {"oxicorn-common", "oxicorn"},
}


def cargo(*arguments):
    done = subprocess.run([CARGO, *arguments, "--locked"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def linked(package, *features):
    """The crates that `package` links or is built with."""
    tree = cargo("tree", "--package", package, *features, "--edges", "normal,build", "--prefix", "none", "--format", "{p}")
    return {line.split()[0] for line in tree.splitlines() if line}


class DependenciesTest(unittest.TestCase):
    def test_the_wheel_links_nothing_of_the_service(self):
        self.assertEqual(linked("oxicorn-python") & OF_THE_SERVICE, set())

    def test_the_library_links_nothing_of_the_service(self):
        self.assertEqual(linked("oxicorn", "--no-default-features") & OF_THE_SERVICE, set())

    def test_the_binary_links_all_of_it(self):
        self.assertEqual(OF_THE_SERVICE - linked("oxicorn"), set())

    def test_crates_depend_on_each_other_one_way(self):
        packages = json.loads(cargo("metadata", "--format-version", "1", "--no-deps"))["packages"]
        ours = {
            package["name"]: {it["name"] for it in package["dependencies"] if it["kind"] is None and it["name"] in MAY_DEPEND_ON}
            for package in packages
        }
        self.assertEqual(ours.keys(), MAY_DEPEND_ON.keys())
        for name, dependencies in ours.items():
            self.assertEqual(dependencies - MAY_DEPEND_ON[name], set(), name)


if __name__ == "__main__":
    unittest.main()
