"""What Python's ``threading`` does at the beginning of a thread, for the request threads of the server."""

import sys
import threading


def begin():
    """Trace and profile this thread, where ``threading.settrace`` and ``threading.setprofile`` say so."""
    if threading.get_ident() == threading.main_thread().ident:
        return
    # There are no functions to ask before Python 3.10.
    if threading._trace_hook:
        sys.settrace(threading._trace_hook)
    if threading._profile_hook:
        sys.setprofile(threading._profile_hook)
