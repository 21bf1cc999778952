"""The name of this server for applications and clients. A config file may change it in the module ``gunicorn``."""

import os
import sys

from ._oxicorn import SERVER_SOFTWARE

# The value that gunicorn itself has.
SERVER = "gunicorn"


def software():
    """The value of ``SERVER_SOFTWARE`` in the environ of requests."""
    stock = f"{SERVER}/{getattr(sys.modules.get(SERVER), '__version__', None)}"
    return _changed("SERVER_SOFTWARE", stock) or SERVER_SOFTWARE


def field():
    """The value of the field ``Server``, if a config file has changed it, or ``None``."""
    return _changed("SERVER", SERVER)


def announce():
    """Publish the name in the environment, where applications look for it."""
    os.environ["SERVER_SOFTWARE"] = SERVER_SOFTWARE


def _changed(name, stock):
    value = getattr(sys.modules.get(SERVER), name, stock)
    return value if isinstance(value, str) and value != stock else None
