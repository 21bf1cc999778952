#!/usr/bin/env python3
"""The data that scripts/bench keeps, the pages that it writes, and its clients, which must notice a neglected one.

    python3 tests/bench_test.py
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import re
import socket
import sys
import tempfile
import threading
import types
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from bench_lib import charts, pages, peers, results, rounds, service, tables, workloads  # noqa: E402
from bench_lib.clients import Clients  # noqa: E402


def script():
    """scripts/bench, which has no suffix."""
    loader = importlib.machinery.SourceFileLoader("bench", str(ROOT / "scripts/bench"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench", loader))
    loader.exec_module(module)
    return module


KNOWN = [*workloads.table(), *service.table()]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def entry(**servers):
    """Two rounds each, of a rate and one that is a tenth faster."""
    made = lambda rate: {
        "rate": [rate, rate * 1.1], "p50": [1, 1], "p99": [2.0, 4.0], "p999": [5, 5], "cpu": [7, 7], "memory": [30, 30], "broken": [0, 0],
    }
    return {
        "date": "2026-01-02", "commit": "0123456789", "rounds": 2, "seconds": 1, "left_out": {"waitress": "one process"},
        "machine": {"processor": "A", "cores": 2, "memory": "4 GiB", "kernel": "6.1", "virtual": True},
        "versions": {"gunicorn": "27.0.1"}, "servers": {name: made(rate) for name, rate in servers.items()},
    }


class Data(unittest.TestCase):
    def test_a_run_of_a_part_keeps_the_rest(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "made", "results.json")
            known = ["hello", "sleep-20", "fresh"]
            results.merge({"sleep-20": entry(oxicorn=1), "gone": entry(oxicorn=1)}, ["sleep-20", "gone"], path)
            merged = results.merge({"hello": entry(oxicorn=2)}, known, path)
            self.assertEqual(list(merged), ["hello", "sleep-20"])
            merged = results.merge({"sleep-20": entry(oxicorn=3)}, known, path)
            self.assertEqual([merged[name]["servers"]["oxicorn"]["rate"][0] for name in merged], [2, 3])

    def test_a_run_that_is_interrupted_keeps_what_it_has_measured(self):
        chosen = [workload for workload in KNOWN if workload.name in ("sleep-8", "sleep-20")]
        kept = {}

        def run(workload, options):
            if workload.name == "sleep-20":
                raise KeyboardInterrupt
            return {"oxicorn": {"rate": [1500.0]}, results.BARE: {"rate": [1580.0]}}

        options = types.SimpleNamespace(binary=sys.executable, rounds=1, seconds=1)
        with mock.patch.object(rounds, "run", run), mock.patch.object(workloads.Workload, "versions", lambda *_: {}):
            with self.assertRaises(KeyboardInterrupt), contextlib.redirect_stderr(io.StringIO()):
                script().measure(chosen, options, kept.update)
        self.assertEqual([*kept], ["sleep-8"])
        self.assertEqual((kept["sleep-8"]["servers"], kept["sleep-8"]["bare"]), ({"oxicorn": {"rate": [1500.0]}}, [1580.0]))

    def test_servers_take_turns(self):
        class Subject:
            def __init__(self, name):
                self.name = name

            def warm_up(self):
                order.append(f"warm {self.name}")

            def measure(self, seconds):
                order.append(self.name)
                return {"rate": 1.0}

        order, left = [], []

        class Workload:
            name = "hello"

            def subjects(self, options):
                import contextlib

                @contextlib.contextmanager
                def up():
                    yield {name: Subject(name) for name in "abc"}
                    left.append("stopped")

                return up()

        measured = rounds.run(Workload(), types.SimpleNamespace(rounds=3, seconds=1))
        self.assertEqual(order[:3], ["warm a", "warm b", "warm c"])
        self.assertEqual(["".join(sorted(order[at:at + 3])) for at in (3, 6, 9)], ["abc"] * 3)
        self.assertEqual(len({order[at] for at in (3, 6, 9)}), 3, "each begins a round")
        self.assertEqual((measured["b"]["rate"], left), ([1.0] * 3, ["stopped"]))


class Pages(unittest.TestCase):
    def test_the_pages_say_what_the_data_says(self):
        told = "scripts/bench --write"
        for path, text in pages.pages(results.load(), KNOWN).items():
            self.assertEqual(path.read_text(), text, f"{path.relative_to(ROOT)} is not what the data says: {told}")

    def test_no_figure_is_written_by_hand(self):
        """Outside the markers there is no rate, latency or size; numbers that describe a workload are allowed."""
        measured = re.compile(r"\d\s*(req/s|requests per second|us\b|MiB\b)|\d{1,3},\d{3} (?!tasks|connections)")
        for path in (pages.PERFORMANCE, pages.README):
            prose = re.sub(r"<!-- (\w+): scripts/bench writes.*?<!-- \1: to here -->", "", path.read_text(), flags=re.S)
            found = [line for line in prose.splitlines() if measured.search(line)]
            self.assertEqual(found, [], f"figures by hand in {path.name}")

    def test_a_table_has_median_spread_ratio_and_reason(self):
        text = tables.workload(entry(oxicorn=2000, gunicorn=1000), "hello")
        self.assertIn("| oxicorn | 2,100 (2,000-2,200) |  | 1.00 | 3.00 (2.00-4.00) | 5.00 | 7.00 | 30.0 |", text)
        self.assertIn("| gunicorn 27.0.1 | 1,050 (1,000-1,100) | 2.00 x |", text)
        self.assertIn("without waitress (one process)", tables.conditions(entry(oxicorn=1)))

    def test_the_ideal_of_the_machine_stands_beside_the_one_that_was_asked_for(self):
        made = entry(oxicorn=1500)
        self.assertNotIn("bare", tables.workload(made, "sleep", 1600))
        self.assertNotIn("bare", tables.conditions(made, 1600))
        made["bare"] = [1550.0, 1600.0, 1650.0]
        text = tables.workload(made, "sleep", 2000)
        self.assertIn("| of ideal | of bare calls |", text)
        self.assertIn("| 0.79 | 0.98 |", text)
        self.assertTrue(tables.conditions(made, 2000).endswith(". Ideal: 2,000 req/s; bare calls: 1,600 (1,550-1,650)."))

    def test_the_calls_run_without_a_server_in_as_many_threads(self):
        with tempfile.TemporaryDirectory() as folder:
            calls = "import os, threading, time\ndef application(environ, start_response):\n" \
                "    start_response('200 OK', [])\n    open(f'{environ[\"PATH_INFO\"]}/{os.getpid()}-{threading.get_ident()}', 'w')\n" \
                "    time.sleep(0.01)\n    return [b'']\n"
            Path(folder, "calls.py").write_text(calls)
            command = [sys.executable, "-B", str(peers.APPS / "bare.py"), "calls:application", folder, "3", "2"]
            with mock.patch.dict(os.environ, {"PYTHONPATH": folder}), mock.patch.object(peers, "APPS", folder):
                found = workloads.Bare(command).measure(0.1)
            threads = [path.name.split("-")[0] for path in Path(folder).glob("*-*")]
        self.assertEqual(sorted(threads.count(pid) for pid in set(threads)), [2, 2, 2])
        self.assertGreater(found["rate"], 0)
        # None of them can make more of a call that sleeps so long.
        self.assertLess(found["rate"], 600)

    def test_broken_requests_show(self):
        made = entry(oxicorn=1000, gunicorn=1000)
        self.assertNotIn("failed", tables.workload(made, "hello"))
        made["servers"]["oxicorn"]["broken"] = [0, 7]
        self.assertRegex(tables.workload(made, "hello"), r"\| oxicorn .*\| 7 \|\n")

    def test_a_chart_is_well_formed(self):
        made = entry(oxicorn=2000, gunicorn=1000)
        root = ElementTree.fromstring(charts.chart({"hello": made}, {"hello": "1 KB <up> & down"}))
        bars = [float(one.get("width")) for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("rx")]
        self.assertEqual(len(bars), 4)
        self.assertAlmostEqual(bars[0] / bars[2], 2, delta=0.01)

    def test_a_page_without_markers_is_refused(self):
        with self.assertRaises(pages.Unmarked):
            pages.replaced("no markers", "figures", "text")

    def test_every_section_has_a_title(self):
        self.assertLessEqual({workload.section for workload in KNOWN}, set(pages.SECTIONS))
        self.assertLessEqual({*pages.NATIVE, *pages.WSGI, *pages.SERVICE}, {workload.name for workload in KNOWN})


class Statements(unittest.TestCase):
    def test_parameters_become_variables(self):
        script = service.statement("SELECT $1, $2 -- a remark\n FROM t WHERE a = $11", {1: ("text", "a:b'c"), 2: ("number", "7")})
        self.assertIn("\\set p2 7\n", script)
        self.assertTrue(script.endswith("SELECT 'a\\:b''c', :p2 FROM t WHERE a = :p11;\n"), script)


class Counting(unittest.TestCase):
    """The clients beside a server that treats them as it is told."""

    def serve(self, treat):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def accept():
            number = 0
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=treat, args=(number, connection), daemon=True).start()
                number += 1

        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    def test_one_that_is_passed_over_shows(self):
        def treat(number, connection):
            with connection:
                while connection.recv(4096):
                    # The first client gets no answer ever.
                    if number:
                        connection.sendall(ANSWER)

        found = Clients(4, "/", timeout=0.1).run(self.serve(treat), 0.5)
        self.assertEqual((found["fewest"], found["broken"]), (0, 0))
        self.assertGreater(found["rate"], 0)
        slowest = Clients(1, "/", timeout=0.1).run(self.serve(lambda number, connection: treat(0, connection)), 0.5)
        self.assertGreater(slowest["p50"], 500, "a wait that has no end counts")
        self.assertGreater(slowest["new slowest"], 100)

    def test_a_connection_that_is_closed_is_counted_and_opened_again(self):
        def treat(_, connection):
            with connection:
                connection.recv(4096)
                connection.sendall(ANSWER)
                connection.recv(4096)

        found = Clients(2, "/").run(self.serve(treat), 1)
        self.assertGreater(found["broken"], 0)
        self.assertGreater(found["rate"], 0)


if __name__ == "__main__":
    unittest.main()
