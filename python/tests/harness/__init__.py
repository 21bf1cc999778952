"""What the tests stand on: servers as real processes, clients as raw sockets, and the comparison of two servers."""

from .answer import Answer, Broken, Closed
from .client import Client
from .comparison import compare
from .deadline import PATIENCE, until
from .log import Line, lines
from .outcome import run
from .pair import Pair, both
from .server import GUNICORN, OXICORN, Server, environment_of

__all__ = [
    "GUNICORN", "OXICORN", "PATIENCE", "Answer", "Broken", "Client", "Closed", "Line", "Pair", "Server", "both",
    "compare", "environment_of", "lines", "run", "until",
]
