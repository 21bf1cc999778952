#!/usr/bin/env python3
"""The live page of the admin process in a real browser, over a real server under load.

    cargo build --workspace --examples --bins && python3 -B tests/page_test.py
"""

import contextlib
import http.client
import os
import signal
import statistics
import subprocess
import sys
import time
import unittest

from monitoring_test import Oxicorn
from prometheus_test import ROOT, until

sys.path.insert(0, str(ROOT / "scripts"))

from live_page import DESKTOP, PHONE, TOKEN, Client, Gated, Guarded, Page, nginx

from browser_lib.chromium import Chromium

# The lowest contrast of text that WCAG 2.2 allows at level AA, for usual and for large text.
CONTRAST, CONTRAST_LARGE = 4.5, 3.0
# Texts that are wider than their place.
OVERFLOWING = """
const places = [...document.querySelectorAll('.tile > *, td, tbody th')];
return places.filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.innerText);
"""
# What a visible text stands on, by the colours that the browser has computed.
CONTRASTS = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
function rgba(text) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}
function ground(element) {
  for (let it = element; it; it = it.parentElement) {
    const colour = rgba(getComputedStyle(it).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return [255, 255, 255, 1];
}
function luminance(colour) {
  const [r, g, b] = colour.map((it) => it / 255).map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = {};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let text = texts.nextNode(); text; text = texts.nextNode()) {
  const element = text.parentElement;
  if (!text.data.trim() || !element.checkVisibility() || element.closest('script, style, noscript')) continue;
  const style = getComputedStyle(element);
  const [a, b] = [luminance(rgba(style.color)), luminance(ground(element))].sort((a, b) => b - a);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = (a + 0.05) / (b + 0.05);
  const key = `${large ? 'large' : 'usual'} ${style.color}`;
  if (!(found[key] && found[key].ratio <= ratio)) found[key] = { ratio, large, text: text.data.trim() };
}
return Object.values(found);
"""


class LivePage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Chromium().__enter__()
        cls.addClassCleanup(cls.browser.__exit__)

    def page(self, server, path="/"):
        page = Page(self.browser, f"http://{server.target}{path}")
        until("a report", page.reports)
        return page

    def test_figures_agree_with_the_clients(self):
        with Oxicorn("examples/lab", "--workers", "2", "--threads", "2") as server:
            page = self.page(server)
            before = int(page.rows("#codes").get("200", "0").replace(",", ""))
            paths = ["/sleep?ms=20", "/sleep?ms=20", "/sleep?ms=20", "/status?code=503"]
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(Client(server.port, paths)) for _ in range(3)]
                until("a window of load", lambda: page.run("return since(windowStart(reports), reports.at(-1))?.seconds || 0") >= 8)
                page.more(10)
                # The page, and the same time by the clients' own count: the clock of the server is theirs.
                window = page.run(
                    "const it = reports; return { from: it[0].server.uptime_seconds, to: it.at(-1).server.uptime_seconds,"
                    " now: performance.timeOrigin + performance.now(), shown: Object.fromEntries("
                    " [...document.querySelectorAll('.tile')].map((it) => [it.dataset.name, it.querySelector('.figure').dataset.value])),"
                    " started: it.at(-1).server.started_at }"
                )
            answers = sorted(answer for client in clients for answer in client.answers)
            shown = {name: float(value) if value else None for name, value in window["shown"].items()}
            offset = time.time() - time.monotonic()
            start, end = (window["started"] + window[key] - offset for key in ("from", "to"))
            counted = [answer for answer in answers if start <= answer[0] <= end]
            seconds = window["to"] - window["from"]
            # Each client may be in the middle of a request at either end.
            slack = 2 * len(clients) + 0.05 * len(counted)
            self.assertAlmostEqual(shown["rate"] * seconds, len(counted), delta=slack)
            errors = sum(status == 503 for _, status, _ in counted)
            self.assertAlmostEqual(shown["errors"] * len(counted), errors, delta=slack)
            # A bucket is a quarter of a power of two wide.
            slept = statistics.median(took for _, status, took in counted if status == 200)
            self.assertGreater(shown["p95"], 0.02 / 1.2)
            self.assertLess(shown["p50"], slept * 1.25)
            # And nothing is lost: each answer is in the totals.
            answered = {code: sum(status == code for _, status, _ in answers) for code in (200, 503)}
            until("all answers", lambda: {code: int(page.rows("#codes").get(str(code), "0").replace(",", "")) for code in (200, 503)}
                  == {200: before + answered[200], 503: answered[503]})
            pids = {int(text) for text in page.texts("#workers th[data-label=pid]")}
            children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
            self.assertEqual(pids, set(map(int, children.stdout.split())))
            self.assertEqual(page.text("#count"), "2 of 2 workers ready")
            self.assertEqual(self.browser.console(), [])

    def test_a_stuck_thread_shows_and_then_its_replacement(self):
        words = ("--workers", "1", "--threads", "2", "--timeout", "3", "--graceful-timeout", "600")
        with Gated(*words) as server:
            page = self.page(server)
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as client:
                server.close()
                client.request("GET", "/hold?until=never")
                until("what runs", lambda: page.texts("#workers li.running .path") == ["/hold"])
                until("a stuck thread", lambda: page.texts("#workers li.stuck .path") == ["/hold"])
                self.assertEqual(page.texts("#workers li.stuck .doing"), ["stuck"])
                self.assertIn("1 stuck", page.text("[data-name=active]"))
                colour = "return getComputedStyle(document.querySelector(arguments[0])).color"
                self.assertNotEqual(page.run(colour, "#workers li.stuck"), page.run(colour, "body"))
                old = page.text("#workers th[data-label=pid]")
                server.open()
                until("another worker", lambda: page.text("#workers th[data-label=pid]") != old and not page.texts("#workers li.stuck"))
                until("the restart", lambda: page.rows("#restarts").get("timeout") == "1")
            self.assertEqual(self.browser.console(), [])

    def test_texts_of_others_are_text(self):
        evil = "<img src=x onerror=window.evil=1>"
        with Oxicorn("examples/lab", "--env-file=-server.env") as server:
            page = self.page(server)
            (server.folder / "server.env").write_text(f"OXICORN_THREADS={evil}\n")
            os.kill(server.process.pid, signal.SIGHUP)
            until("the reason of the reload", lambda: evil in page.text("#reloads"))
            self.assertIn(evil, page.text("#failure"))
            # A report in which every text is like that, whatever the server lets through.
            page.run("""
                const evil = arguments[0];
                const spoil = (it) => typeof it === 'string' ? it + evil : Array.isArray(it) ? it.map(spoil)
                  : it && typeof it === 'object' ? Object.fromEntries(Object.entries(it).map(([key, value]) => [key, spoil(value)])) : it;
                const report = structuredClone(reports.at(-1));
                report.server.application += evil;
                report.workers[0].state += evil;
                report.workers[0].threads[0] = { index: 0, state: 'running', requests: 1,
                  request: spoil({ method: 'GET', path: '/', request_id: 'a', seconds: 1 }) };
                report.server.listeners = spoil(report.server.listeners);
                report.restarts[evil] = 1;
                report.application.push({ name: 'a' + evil, help: evil, samples: [{ label: [evil, evil], value: { gauge: 1 } }] });
                take(report);
            """, evil)
            self.assertEqual(page.run("return [window.evil, document.querySelectorAll('img').length]"), [None, 0])
            self.assertIn(evil, page.text("#workers li .path"))
            page.browser.look(*PHONE)
            self.assertLessEqual(page.run("return document.documentElement.scrollWidth"), PHONE[0])
            self.assertEqual(self.browser.console(), [])

    def test_only_its_own_script_runs_and_nothing_is_loaded(self):
        with Oxicorn("examples/lab") as server:
            page = self.page(server)
            page.more(2)
            loaded = page.run("return performance.getEntriesByType('resource').map((it) => it.name)")
            self.assertEqual(set(loaded), {f"http://{server.target}/status"})
            self.assertEqual(self.browser.console(), [])
            page.run("""
                const script = document.createElement('script'); script.textContent = 'window.evil = 1'; document.body.append(script);
                const style = document.createElement('style'); style.textContent = 'body { color: red }'; document.head.append(style);
            """)
            self.assertIsNone(page.run("return window.evil || null"))
            violations = [text for _, text in self.browser.console() if "Content Security Policy" in text]
            self.assertEqual(len(violations), 2, violations)

    def test_it_fits_a_phone_and_can_be_read_by_night(self):
        words = ("--workers", "2", "--threads", "2", "--timeout", "2", "--graceful-timeout", "600")
        with Gated(*words) as server:
            page = self.page(server)
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as client:
                server.close()
                client.request("GET", "/hold?until=never")
                until("a stuck thread", lambda: page.texts("#workers li.stuck"))
                with Client(server.port, ["/pid", "/status?code=500"], pause=0.01):
                    page.more(4)
                    # Whatever the server has to say from now on has a word that does not break.
                    page.run("""
                        const show = showWorkers;
                        showWorkers = (reports, report) => {
                          const thread = report.workers[0].threads[1];
                          thread.state = 'running';
                          thread.request = { method: 'OPTIONS', path: '/' + 'x'.repeat(128), request_id: 'y'.repeat(128), seconds: 1234 };
                          show(reports, report);
                        };
                    """)
                    for scheme in ("light", "dark"):
                        page.browser.look(*DESKTOP, scheme)
                        page.more(1)
                        for contrast in page.run(CONTRASTS):
                            least = CONTRAST_LARGE if contrast["large"] else CONTRAST
                            self.assertGreaterEqual(contrast["ratio"], least, f"{scheme}: {contrast}")
                    for width in (PHONE[0], 768, 1060, 1200):
                        page.browser.look(width, 740)
                        page.more(1)
                        self.assertLessEqual(page.run("return document.documentElement.scrollWidth"), width)
                        self.assertEqual(page.run(OVERFLOWING), [])
            self.assertEqual(self.browser.console(), [])

    def test_it_can_be_understood_without_seeing_it(self):
        with Oxicorn("examples/lab") as server:
            page = self.page(server)
            page.more(2)
            tree = page.browser.tell("Accessibility.getFullAXTree")["nodes"]
            nodes = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
            roles = {role for role, _ in nodes}
            self.assertLessEqual({"banner", "main", "region", "heading", "table", "columnheader", "rowheader"}, roles)
            names = {name for role, name in nodes if role == "region"}
            self.assertLessEqual({"Responses", "Connections", "Restarts", "Reloads"}, names)
            images = [name for role, name in nodes if role == "image"]
            self.assertEqual(len(images), 8)
            self.assertTrue(all(": " in name for name in images), images)
            self.assertEqual([role for role, name in nodes if role in ("region", "table", "image", "button", "textbox") and not name], [])
            self.assertEqual(page.run("return document.documentElement.lang"), "en")

    def test_it_says_when_figures_are_old_and_survives_a_restart(self):
        with Oxicorn("examples/lab") as server:
            page = self.page(server)
            page.more(2)
            self.assertEqual(page.notice(), "")
            old = page.text("#workers th[data-label=pid]")
            os.killpg(server.process.pid, signal.SIGSTOP)
            until("a notice that no answer comes", lambda: "No answer" in page.notice() and "ago" in page.notice())
            self.assertEqual(page.text("#state"), "no data")
            os.killpg(server.process.pid, signal.SIGCONT)
            until("fresh figures", lambda: page.notice() == "")
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            until("a notice", lambda: "cannot be reached" in page.notice())
            server.process = subprocess.Popen(server.process.args, cwd=server.folder, start_new_session=True)
            until("the new server", lambda: page.notice() == "" and page.text("#workers th[data-label=pid]") not in ("", old))
            self.assertEqual(page.text("#state"), "serving")
            until("new rates", lambda: page.tile("rate") is not None)
            # What the browser itself says of a server that is away.
            others = [text for _, text in self.browser.console() if "Failed to load resource" not in text]
            self.assertEqual(others, [])

    def test_a_drain_shows(self):
        with Oxicorn("examples/lab", "--drain-delay", "600") as server:
            page = self.page(server)
            os.kill(server.process.pid, signal.SIGTERM)
            until("the state", lambda: page.text("#state") == "draining")

    def test_it_asks_for_the_token(self):
        with Guarded("examples/lab") as server:
            page = Page(self.browser, f"http://{server.target}/")
            until("the form", lambda: page.text("#login:not([hidden])"))
            self.assertIn("asks for a token", page.notice())
            page.browser.type("#token", "wrong-token-of-a-test\n")
            until("a word about it", lambda: "does not take this token" in page.notice())
            page.browser.type("#token", f"{TOKEN}\n")
            until("figures", page.reports)
            self.assertEqual(page.text("#login:not([hidden])"), "")
            self.assertNotIn(TOKEN, page.run("return location.href + document.documentElement.outerHTML"))
            # It stays for this tab.
            page.browser.open(f"http://{server.target}/")
            until("figures at once", page.reports)

    def test_it_works_under_a_path_of_a_proxy(self):
        with Oxicorn("examples/lab") as server, nginx(server) as base:
            for path in ("/ops/oxicorn/", "/ops/oxicorn"):
                page = Page(self.browser, base + path)
                until("a report", page.reports)
                page.more(2)
                self.assertEqual(page.text("#state"), "serving")
                self.assertEqual(self.browser.console(), [])


if __name__ == "__main__":
    unittest.main()
