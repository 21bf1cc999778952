"""Python handlers for the signals of the server, so that other code does not consider these signals unused.

Code that sets a handler temporarily, such as ``asyncio.run``, restores Python's handler and not the server's. The next signal
then calls the handler here, which gives the signal back to the server.
"""

import signal

from . import _oxicorn


def install(numbers):
    """Set a handler for each of these."""
    for number in numbers:
        signal.signal(number, _give_back)


def _give_back(number, _frame):
    if not _oxicorn.reclaim_signal(number):
        # In a process that the application has forked.
        signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
