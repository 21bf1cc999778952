#!/usr/bin/env python3
"""What etc/prometheus and etc/grafana hold, checked by promtool, and by a real Prometheus that scrapes a real server.

    python3 -B tests/prometheus_test.py
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMETHEUS = ROOT / "etc/prometheus"
SERVICES = ROOT / "scripts/services"
DASHBOARD = ROOT / "etc/grafana/oxicorn.json"
DOCS = ROOT / "docs/monitoring.md"
GRID_COLUMNS = 24
# What a histogram is in a query.
SUFFIXES = re.compile(r"_(bucket|sum|count)$")
# As a test's: it has seconds for what an operator has minutes for.
OFTEN = {"scrape_interval: 15s": "scrape_interval: 500ms", "evaluation_interval: 15s": "evaluation_interval: 500ms"}
# What stands for them where no Grafana is.
VARIABLES = {
    "$job": "oxicorn", "$instance": ".+", "$__rate_interval": "5s", "$__interval": "5s", "${datasource}": "prometheus",
}


def promtool(*words, text=None):
    """What it prints of `text`, or of the files it names; it has to find nothing wrong."""
    result = subprocess.run(["promtool", *map(str, words)], input=text, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise AssertionError(f"promtool {' '.join(map(str, words))}\n{result.stdout}{result.stderr}")
    return result.stdout


def metrics(text):
    """The names of ours in a query, or in a file of them."""
    return {SUFFIXES.sub("", name) for name in re.findall(r"(?<![:\w])oxicorn_\w+", text)}


def documented():
    """The metrics of docs/monitoring.md."""
    return metrics(" ".join(re.findall(r"^\| `(.*?)` \|", DOCS.read_text(), re.MULTILINE)))


def panels():
    """Those that show something; a row is only a heading."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def substituted(query):
    """The query as Grafana sends it."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def queries():
    """(panel, query) of the whole dashboard."""
    return [(panel["title"], substituted(target["expr"])) for panel in panels() for target in panel["targets"]]


def until(what, condition, seconds=60):
    """Asks until the answer is truthy, and returns it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)
    return found


class Prometheus:
    """A real one, as `scripts/services` starts it; `changes` are made in a copy of our configuration."""

    def __init__(self, changes):
        self.folder = Path(tempfile.mkdtemp(prefix="oxicorn-prometheus-test-"))
        configuration = self.folder / "prometheus.yml"
        text = (PROMETHEUS / "prometheus.yml").read_text().replace("rules.yml", str(PROMETHEUS / "rules.yml"))
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        configuration.write_text(text)
        self.environment = {
            **os.environ, "OXICORN_SERVICES_DIR": str(self.folder / "services"), "OXICORN_PROMETHEUS_CONFIG": str(configuration),
        }

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.__exit__)
            self.services("up", "prometheus")
            self.url = re.search(r"^export PROMETHEUS_URL=(\S+)$", self.services("env"), re.MULTILINE)[1]
            stack.pop_all()
        return self

    def __exit__(self, *_):
        self.services("down")
        shutil.rmtree(self.folder)

    def services(self, *words):
        return subprocess.run([SERVICES, *words], env=self.environment, stdout=subprocess.PIPE, text=True, timeout=300, check=True).stdout

    def ask(self, path, **parameters):
        """`data` of an answer of its HTTP API; a query that it refuses is an error that says why."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """(labels, value) of each series that it finds."""
        return [(series["metric"], float(series["value"][1])) for series in self.ask("query", query=expression)["result"]]


class Rules(unittest.TestCase):
    def test_promtool_finds_nothing_wrong(self):
        promtool("check", "config", PROMETHEUS / "prometheus.yml")
        promtool("check", "rules", "--lint=all", "--lint-fatal", PROMETHEUS / "rules.yml")

    def test_the_unit_tests_of_the_rules_pass(self):
        promtool("test", "rules", PROMETHEUS / "rules_test.yml")

    def test_each_rule_has_a_unit_test(self):
        rules, tests = (PROMETHEUS / "rules.yml").read_text(), (PROMETHEUS / "rules_test.yml").read_text()
        fires = set(re.findall(r"- alertname: (\w+)\n *eval_time: \w+\n *exp_alerts:\n", tests))
        silent = set(re.findall(r"- alertname: (\w+)\n *eval_time: \w+\n *exp_alerts: \[\]\n", tests))
        alerts = set(re.findall(r"- alert: (\w+)", rules))
        self.assertEqual(fires, alerts)
        # All of them are silent on a server that does well; most have a case of their own beside it.
        self.assertIn("- expr: ALERTS\n", tests)
        self.assertLessEqual(silent, alerts)
        for record in re.findall(r"- record: (\S+)", rules):
            self.assertRegex(tests, rf"expr: .*{re.escape(record)}", record)

    def test_each_alert_says_how_bad_it_is_and_what_to_do(self):
        alerts = re.split(r"^ +- (?=alert:|record:|name:)", (PROMETHEUS / "rules.yml").read_text(), flags=re.MULTILINE)
        for alert in (text for text in alerts if text.startswith("alert:")):
            for field in (r"severity: (warning|critical)", r"summary: ", r"description: "):
                self.assertRegex(alert, field)


class Dashboard(unittest.TestCase):
    def test_it_can_be_imported(self):
        dashboard = json.loads(DASHBOARD.read_text())
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual([variable["name"] for variable in dashboard["templating"]["list"]], ["datasource", "job", "instance"])
        taken = {}
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], GRID_COLUMNS, panel["title"])
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    self.assertIsNone(taken.setdefault((x, y), None), f"{panel['title']} lies over {taken[x, y]}")
                    taken[x, y] = panel["title"]
        for panel in panels():
            self.assertTrue(panel["description"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"])
            for source in (panel, *panel["targets"]):
                self.assertEqual(source["datasource"], {"type": "prometheus", "uid": "${datasource}"}, panel["title"])

    def test_each_query_is_one(self):
        rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(queries())]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            # JSON is YAML.
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            promtool("check", "rules", "--lint=none", file.name)
        for panel, query in queries():
            self.assertNotIn("$", query, panel)

    def test_rules_and_dashboard_know_the_documented_metrics_and_no_others(self):
        used = metrics(DASHBOARD.read_text()) | metrics((PROMETHEUS / "rules.yml").read_text())
        self.assertEqual(used, documented())


class Service(unittest.TestCase):
    def test_it_takes_our_files_and_evaluates_each_rule(self):
        with Prometheus(OFTEN) as prometheus:
            until("its first round", lambda: all(
                rule["health"] == "ok" for group in prometheus.ask("rules")["groups"] for rule in group["rules"]
            ))
            (target,) = until("its target", lambda: prometheus.ask("targets")["activeTargets"])
            self.assertEqual(target["scrapeUrl"], "http://127.0.0.1:9108/metrics")
            self.assertEqual(prometheus.services("status").split()[:2], ["prometheus", "running"])
        self.assertFalse(prometheus.folder.exists())


if __name__ == "__main__":
    unittest.main()
