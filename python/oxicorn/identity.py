"""What applications and clients take this server for; a config file may change the names in ``gunicorn``, as with gunicorn."""

import os
import sys

from ._oxicorn import SERVER_SOFTWARE

# gunicorn's own.
SERVER = "gunicorn"


def software():
    """The value of ``SERVER_SOFTWARE`` in the environ of requests."""
    stock = f"{SERVER}/{getattr(sys.modules.get(SERVER), '__version__', None)}"
    return _changed("SERVER_SOFTWARE", stock) or SERVER_SOFTWARE


def field():
    """What the field ``Server`` has been changed to; ``None`` where it has not."""
    return _changed("SERVER", SERVER)


def announce():
    """Have the environment of this process say it, as applications look for it there."""
    os.environ["SERVER_SOFTWARE"] = SERVER_SOFTWARE


def _changed(name, stock):
    value = getattr(sys.modules.get(SERVER), name, stock)
    return value if isinstance(value, str) and value != stock else None
