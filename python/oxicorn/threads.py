"""Sets up request threads as Python's ``threading`` does with its own threads."""

import sys
import threading


def begin():
    """Apply ``threading.settrace`` and ``threading.setprofile`` to this thread."""
    if threading.get_ident() == threading.main_thread().ident:
        return
    # Python before 3.10 has no public functions for this.
    if threading._trace_hook:
        sys.settrace(threading._trace_hook)
    if threading._profile_hook:
        sys.setprofile(threading._profile_hook)
