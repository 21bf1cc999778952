"""The signals of the server, as Python code sees them: with a handler, so that nobody takes them for free.

What sets a handler for a while and then the one of before, as ``asyncio.run`` does, leaves Python's own in place: what
comes then is given back to the server.
"""

import signal

from . import _oxicorn


def install(numbers):
    """Show a handler for each of these."""
    for number in numbers:
        signal.signal(number, _give_back)


def _give_back(number, _frame):
    if not _oxicorn.reclaim_signal(number):
        # A process that the application has forked.
        signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
