"""What tests/page_test.py needs: servers, clients, a proxy, and the live page in a browser."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest.mock
import urllib.request
from pathlib import Path

from monitoring_test import Oxicorn
from prometheus_test import until

from services_lib.folder import Folder

PHONE, DESKTOP = (360, 740), (1200, 900)
TOKEN = "0123456789abcdef-of-a-test"


class Client(threading.Thread):
    """Asks for the same over and over, and notes when each answer has come, its status and how long it took."""

    def __init__(self, port, paths, pause=0.0):
        super().__init__(daemon=True)
        self.port, self.paths, self.pause = port, paths, pause
        self.answers, self.done = [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join(60)

    def run(self):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            while not self.done.is_set():
                for path in self.paths:
                    began = time.monotonic()
                    connection.request("GET", path)
                    response = connection.getresponse()
                    response.read()
                    ended = time.monotonic()
                    self.answers.append((ended, response.status, ended - began))
                self.done.wait(self.pause)


class Page:
    """The live page in a browser."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.look(*DESKTOP)
        browser.console()
        browser.open(url)

    def run(self, script, *arguments):
        return self.browser.run(script, *arguments)

    def reports(self):
        return int(self.run("return document.documentElement.dataset.reports || 0"))

    def more(self, count=2):
        """Waits for so many more reports."""
        aim = self.reports() + count
        until(f"report {aim}", lambda: self.reports() >= aim)

    def text(self, selector):
        return self.run("const it = document.querySelector(arguments[0]); return it ? it.innerText : ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map((it) => it.innerText)", selector)

    def tile(self, name):
        """The figure of a tile, unrounded; None if there is none."""
        value = self.run("return document.querySelector(`[data-name=${arguments[0]}] .figure`).dataset.value", name)
        return float(value) if value else None

    def rows(self, table):
        """The first words of each row, and its first figure."""
        rows = "const rows = [...document.querySelectorAll(arguments[0] + ' tr')];"
        cells = self.run(rows + "return rows.map((it) => [...it.cells].map((cell) => cell.innerText))", table)
        return {row[0]: row[1] for row in cells if len(row) > 1}

    def notice(self):
        return self.text("#notice:not([hidden])")


class Gated(Oxicorn):
    """A server whose workers boot only while it is open."""

    def __init__(self, *words):
        self.gate = Path(tempfile.mkdtemp(prefix="oxicorn-gate-")) / "gate"
        self.open()
        with unittest.mock.patch.dict(os.environ, LAB_BOOT_GATE=str(self.gate)):
            super().__init__("examples/lab", *words)

    def open(self):
        self.gate.touch()

    def close(self):
        self.gate.unlink()

    def end(self):
        super().end()
        shutil.rmtree(self.gate.parent, ignore_errors=True)


class Guarded(Oxicorn):
    """A server whose admin process asks for a token."""

    def __init__(self, program):
        token = Path(tempfile.mkstemp(prefix="oxicorn-token-")[1])
        token.write_text(TOKEN)
        self.token = token
        super().__init__(program, "--admin-token-file", str(token))

    def admin(self, path):
        request = urllib.request.Request(f"http://{self.target}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read().decode()

    def end(self):
        super().end()
        self.token.unlink()


@contextlib.contextmanager
def nginx(server):
    """nginx with the admin process below a path."""
    folder = Path(tempfile.mkdtemp(prefix="oxicorn-nginx-"))
    port = Folder(folder).free_port()
    paths = "".join(f"{it}_temp_path {folder}/{it};" for it in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    location = f"proxy_pass http://{server.target}/;"
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr crit; events {{}} http {{ access_log off; {paths}"
        f" server {{ listen 127.0.0.1:{port}; location /ops/oxicorn/ {{ {location} }} location = /ops/oxicorn {{ {location} }} }} }}"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", folder / "nginx.conf"])
    try:
        base = f"http://127.0.0.1:{port}"

        def answers():
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/ops/oxicorn/status", timeout=30) as response:
                return json.load(response)

        until("nginx", answers)
        yield base
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)
