"""Headless Chromium, driven through chromedriver's WebDriver protocol (https://www.w3.org/TR/webdriver2/) and the commands
of the DevTools protocol that it passes on."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
STARTED = "was started successfully on port "


class BrowserError(Exception):
    """The browser cannot do what it was told to."""


class Chromium:
    """A browser with a profile of its own, which ends with the `with` block."""

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="oxicorn-browser-")
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._base = ""
        self._session = ""

    def __enter__(self):
        try:
            for line in self._driver.stdout:
                if STARTED in line:
                    port = line.split(STARTED)[1].strip().rstrip(".")
                    self._base = f"http://127.0.0.1:{port}"
                    break
            arguments = ["--headless=new", f"--user-data-dir={self._folder}", "--hide-scrollbars", "--disable-gpu"]
            # The same colours everywhere, and pictures that compress well.
            arguments += ["--force-color-profile=srgb", "--disable-lcd-text"]
            # A container has little shared memory, and root no sandbox.
            arguments += ["--disable-dev-shm-usage"] + ["--no-sandbox"] * (os.geteuid() == 0)
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._session:
            self._ask("DELETE", self._session)
        self._driver.terminate()
        self._driver.wait()
        self._driver.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def look(self, width, height, scheme="light"):
        """Sets the size of the window, and what the system prefers: light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.tell("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setEmulatedMedia", features=features)

    def open(self, url):
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script, *arguments):
        """The result of JavaScript with `return`, in the page."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def type(self, selector, text):
        """Types into the element that a CSS selector finds."""
        found = self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"{self._session}/element/{found[ELEMENT]}/value", {"text": text})

    def console(self):
        """The messages since the last call, as pairs of level and text."""
        entries = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [(entry["level"], entry["message"]) for entry in entries]

    def tell(self, command, **parameters):
        """Carries out a command of the DevTools protocol."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, whole=True):
        """A PNG file of the page, down to its end if it is to be `whole`."""
        size = self.tell("Page.getLayoutMetrics")["cssContentSize" if whole else "cssLayoutViewport"]
        width, height = (size.get("width"), size.get("height")) if whole else (size["clientWidth"], size["clientHeight"])
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        answer = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(answer["data"])

    def _ask(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise BrowserError(json.load(error)["value"]["message"]) from None
