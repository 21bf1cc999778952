#!/usr/bin/env python3
"""Runs every command of README, CONTRIBUTING and docs/, and looks up the metrics, alerts, log lines and links that they name.

    cargo build --workspace --examples --bins && python3 -B tests/docs_test.py [-k tuning]

The commands run as they stand there, on the ports that they name: in a network namespace of its own where the machine allows it.
What they change is in a temporary folder. Loads are shorter. `make` and `cargo test` are asked what they would do. What cannot
run here is listed in NOT_HERE, or has its reason in a comment above the block (doc_blocks.py).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from doc_blocks import PAGES, ROOT, blocks, every
from doc_sandbox import PYTHON, SERVES, Sandbox, Server, awaited, prepared
from prometheus_test import documented, metrics, promtool

INSIDE = "INSIDE_DOCS_TEST"
# Programs, with the reason why their commands are not run.
NOT_HERE = {
    "docker": "needs a daemon",
    "kubectl": "needs a cluster",
    "helm": "needs a cluster",
    "systemctl": "needs systemd as process 1; tests/systemd_test.py has the units",
    "journalctl": "needs systemd as process 1",
    "pip": "fetches from PyPI",
    "opentelemetry-bootstrap": "fetches from PyPI",
    "opentelemetry-instrument": "python/tests/test_opentelemetry.py does",
}
# The programs that begin a command of ours: an indented block with one would not be run.
PROGRAMS = (
    "make ", "curl ", "oxicorn ", "cargo ", "kill ", "ab ", "wrk ", "pip ", "psql ", "redis-cli ", "scripts/", "target/", ".venv/", "$ ",
)
SHORTER = [(re.compile(r"(wrk .*-d ?)\d+s"), r"\g<1>1s"), (re.compile(r"(ab .*-n ?)\d+"), r"\g<1>200")]
# The setup of a page whose blocks have no comment.
SETUP_OF_PAGE = dict.fromkeys(("docs/operation.md", "docs/signals.md", "docs/troubleshooting.md"), "service")


def words_of(text):
    return set(re.findall(r"[A-Za-z_]{3,}", text))


class Commands(unittest.TestCase):
    """One test per block is made below."""

    def run_block(self, block):
        kind, rest = block.note
        if kind == "not run":
            self.skipTest(rest)
        setup = rest or SETUP_OF_PAGE.get(block.page, "nothing")
        box, servers = Sandbox(), []
        try:
            with prepared(setup, box) as server:
                for statement, shown in block.statements():
                    for pattern, shorter in SHORTER:
                        statement = pattern.sub(shorter, statement)
                    self.run_statement(box, statement, shown, server, servers)
        finally:
            for one in servers:
                one.stop()
            box.close()

    def run_statement(self, box, statement, shown, server, servers):
        program = re.sub(r"^(\w+=\S* |\\?\s)*", "", statement).split()[0]
        if program in NOT_HERE:
            print(f"docs_test: not run here ({program} {NOT_HERE[program]}): {statement.strip()}", file=sys.stderr)
        elif SERVES.match(statement):
            # Its comment, and what sends it to the background.
            command = re.sub(r"\s+(#.*|&\s*)$", "", statement)
            servers.append(Server(box, command))
        else:
            with awaited(statement, server):
                result = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", statement], cwd=box.folder, env=box.env, stdin=subprocess.DEVNULL,
                    capture_output=True, text=True, timeout=300, check=False,
                )
            log = f"\n{server.log()[-2000:]}" if server else ""
            self.assertEqual(result.returncode, 0, f"{statement}\n{result.stdout}{result.stderr}{log}")
            for line in shown:
                missing = words_of(line) - words_of(result.stdout + result.stderr)
                self.assertFalse(missing, f"{statement} does not print {missing}:\n{result.stdout}{result.stderr}")


class Names(unittest.TestCase):
    def test_commands_are_in_blocks_that_are_run(self):
        for block in every(""):
            self.assertFalse(block.text.startswith(PROGRAMS), f"{block}: put the commands between ```sh and ```")
        for block in every("bash", "shell"):
            self.fail(f"{block}: say ```sh")

    def test_metrics_and_alerts_exist(self):
        rules = (ROOT / "etc/prometheus/rules.yml").read_text()
        known = documented() | {"oxicorn_store"}
        for path in PAGES:
            text = path.read_text()
            # A name that ends with a line is that of a family.
            named = {name for name in metrics(text) if not name.endswith("_")}
            self.assertLessEqual(named, known, path)
            for alert in set(re.findall(r"`(Oxicorn[A-Z]\w+)`", text)):
                self.assertIn(f"alert: {alert}\n", rules, path)

    def test_queries_are_right(self):
        for block in every("promql"):
            rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(block.text.splitlines())]
            with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
                json.dump({"groups": [{"name": "docs", "rules": rules}]}, file)
                file.flush()
                promtool("check", "rules", "--lint=none", file.name)

    def test_log_lines_are_those_of_the_source(self):
        """A shown line is one of the source's texts, with something for each `{}`."""
        patterns = [re.compile(it) for it in sorted(log_patterns())]
        for block in every("log"):
            for line in block.text.splitlines():
                # What comes before the text: time, process, level, request.
                text = re.sub(r"^(\[[^\]]*\] ?)*", "", line)
                self.assertTrue(any(it.search(text) for it in patterns), f"{block}: the source has no such line: {text}")

    def test_links_lead_somewhere(self):
        for path in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
                if "://" not in target:
                    name, _, anchor = target.partition("#")
                    page = (path.parent / name).resolve() if name else path
                    self.assertTrue(page.exists(), f"{path}: {target}")
                    if anchor and page.suffix == ".md":
                        self.assertIn(anchor, anchors(page), f"{path}: {target}")


def anchors(page):
    """As GitHub makes them of headings."""
    found, text = set(), re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()).replace(" ", "-")
        found.add(anchor if anchor not in found else f"{anchor}-1")
    return found


def log_patterns():
    """Each string of the source that a log line could be, as a pattern; a fixed part has to be long enough to be meant."""
    folders = ("common", "worker", "service", "admin", "master", "python")
    for path in (it for folder in folders for it in (ROOT / folder).rglob("*.rs") if "tests" not in it.parts):
        for text in re.findall(r'"((?:[^"\\]|\\.|\\\n)*)"', path.read_text(), re.DOTALL):
            text = re.sub(r"\\\n\s*", "", text).replace('\\"', '"')
            fixed = re.split(r"\{[^{}]*\}", text)
            length = sum(len(re.sub(r"\W", "", it)) for it in fixed)
            if length >= 8:
                # A long one may be a part of a line, such as the cause of a death.
                yield ("" if length >= 15 else "^") + ".+".join(re.escape(it.strip("\n")) for it in fixed)


def add_tests():
    """One method per block of commands, so that a failure names it."""
    for path in PAGES:
        for block in blocks(path):
            if block.language in ("sh", "console"):
                name = f"test_{Path(block.page).stem.lower().replace('-', '_')}_line_{block.line:04}"
                setattr(Commands, name, lambda self, block=block: self.run_block(block))


def main():
    if PYTHON not in os.environ:
        # Packages come over the network, which the namespace does not have.
        found = subprocess.run([ROOT / "scripts/python-env"], stdout=subprocess.PIPE, text=True, check=True).stdout
        os.environ[PYTHON] = found.split()[0]
    if INSIDE not in os.environ and shutil.which("unshare"):
        alone = ["unshare", "--net"]
        if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0:
            inside = ["sh", "-c", 'ip link set lo up && exec "$@"', "docs_test", sys.executable, "-B", *sys.argv]
            os.execvpe("unshare", [*alone, *inside], {**os.environ, INSIDE: "1"})
        print("docs_test: no network namespace here, so the ports of the docs have to be free", file=sys.stderr)
    add_tests()
    unittest.main()


if __name__ == "__main__":
    main()
