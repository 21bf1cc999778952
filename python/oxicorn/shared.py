"""Memory that all workers share, because the master filled it before it forked them."""

import contextlib
import gc
import importlib
import sys

from .standard_library import is_entry

# The part of the standard library that almost every application loads, itself or through its framework. gunicorn's master
# loads most of it too.
MODULES = (
    "calendar", "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal", "email.header", "email.message",
    "email.parser", "email.utils", "gettext", "hashlib", "hmac", "html", "http.client", "http.cookies", "importlib.metadata",
    "importlib.resources", "ipaddress", "locale", "logging", "mimetypes", "pathlib", "pickle", "pkgutil", "platform",
    "queue", "random", "secrets", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "typing",
    "unicodedata", "urllib.parse", "urllib.request", "uuid", "zipfile", "zlib",
)


def load():
    """Load in the master what each worker would load otherwise. Modules of the project stay out, whatever their names."""
    path = list(sys.path)
    sys.path[:] = filter(is_entry, path)
    try:
        for name in MODULES:
            # Some Pythons are built without one of them.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    finally:
        sys.path[:] = path
    freeze()


def freeze():
    """Hide all objects from the collector: it writes to those that it visits, and the kernel copies pages that are written to."""
    gc.collect()
    gc.freeze()
