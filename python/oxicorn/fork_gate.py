"""Keeps forks and the handling of log records apart.

A child has only the thread that forked. A lock that another thread held at that moment is never released in it, and what that thread
had in a buffer would be written twice. ``logging`` frees its own locks in a child, but not that of a handler's stream.
"""

import os
import threading

# A handler may be stuck, or need a lock that the forking thread holds.
MOST_SECONDS = 1


class ForkGate:
    """A context in which no other thread forks this process, unless it has waited for long."""

    def __init__(self):
        self._make()
        # Functions for `before` run in reverse order: this one before that of `logging`, whose lock a handler may need.
        os.register_at_fork(before=self._close, after_in_parent=self._open, after_in_child=self._open_in_child)

    def __enter__(self):
        # A thread that forks is next, whoever comes after it. A handler that logs is inside already.
        if not self._inside._is_owned():
            with self._entrance:
                pass
        self._inside.acquire()

    def __exit__(self, *_):
        self._inside.release()

    def _make(self):
        self._entrance, self._inside = threading.RLock(), threading.RLock()
        # Belongs to who holds the entrance.
        self._is_empty = False

    def _close(self):
        # A handler may fork: then no other thread is inside.
        if not self._inside._is_owned() and self._entrance.acquire(timeout=MOST_SECONDS):
            self._is_empty = self._inside.acquire(timeout=MOST_SECONDS)

    def _open(self):
        if self._entrance._is_owned():
            if self._is_empty:
                self._inside.release()
            self._entrance.release()

    def _open_in_child(self):
        if self._inside._is_owned():
            self._open()
            self._entrance = threading.RLock()
        else:
            self._make()
