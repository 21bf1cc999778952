"""Memory that all workers share because it was there before they were forked."""

import contextlib
import gc
import importlib

# Of the standard library, what almost every application loads, by itself or through its framework. Most of it is loaded
# by gunicorn's master too.
MODULES = (
    "calendar", "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal", "email.header", "email.message",
    "email.parser", "email.utils", "gettext", "hashlib", "hmac", "html", "http.client", "http.cookies", "importlib.metadata",
    "importlib.resources", "ipaddress", "locale", "logging", "mimetypes", "pathlib", "pickle", "pkgutil", "platform",
    "queue", "random", "secrets", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "typing",
    "unicodedata", "urllib.parse", "urllib.request", "uuid", "zipfile", "zlib",
)


def load():
    """Load in the master what each worker would load else."""
    for name in MODULES:
        # A Python may have been built without one.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    freeze()


def freeze():
    """Keep the collector away from all there is: it writes to what it visits, and a page that is written to is copied."""
    gc.collect()
    gc.freeze()
