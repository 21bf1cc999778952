"""Holds requests of `/wait/NAME` in the application (apps/lifecycle.py) until the test releases them."""

import pathlib
import tempfile

from .deadline import until


class Gate:
    def __init__(self, name="gate"):
        self.folder = tempfile.TemporaryDirectory(prefix="gate-")
        self.file = pathlib.Path(self.folder.name, name)
        self.file.touch()
        self.target, self.env = f"/wait/{name}", {"GATES": self.folder.name}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open()
        self.folder.cleanup()

    def is_held(self):
        return self.file.with_suffix(".held").exists()

    def wait_held(self):
        until("a request inside the application", self.is_held)

    def open(self):
        self.file.unlink(missing_ok=True)
