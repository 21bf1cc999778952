"""Waiting for something to become true, never for time to pass."""

import time

# Far beyond what anything takes on a busy machine: a test that reaches it has failed.
PATIENCE = 15.0


def until(what, condition, seconds=PATIENCE):
    """Asks until the answer is truthy, and returns it; `what` says in the failure what did not come."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
