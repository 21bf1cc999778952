"""Servers as real processes, clients as raw sockets, and the comparison of two servers."""

from . import processes
from .answer import Answer, Broken, Closed
from .client import Client
from .comparison import compare
from .deadline import TIMEOUT, until
from .gate import Gate
from .load import Load
from .lock import lock_held
from .log import Line, lines
from .outcome import run
from .pair import Pair, both
from .scenario import Scenarios
from .server import APPS, GUNICORN, OXICORN, Server, environment_of

__all__ = [
    "APPS", "GUNICORN", "OXICORN", "TIMEOUT", "Answer", "Broken", "Client", "Closed", "Gate", "Line", "Load", "Pair",
    "Scenarios", "Server", "both", "compare", "environment_of", "lines", "lock_held", "processes", "run", "until",
]
