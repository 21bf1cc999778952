"""Waits until something is true, and never for a fixed time."""

import time

# Far longer than any step on a busy machine: a test that reaches it has failed.
TIMEOUT = 20.0
# Ask at least this often, however little processor time we get.
LOOKS = 200


def until(what, condition, seconds=TIMEOUT):
    """Asks until the answer is truthy, and returns it; the failure names `what`."""
    deadline = time.monotonic() + seconds
    pause, looks = 0.002, 0
    while True:
        found = condition()
        if found:
            return found
        looks += 1
        if time.monotonic() > deadline and looks > LOOKS:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def until_after(what, measure, goal, seconds=TIMEOUT):
    """Waits until `measure` reaches the goal, as long as it grows."""
    reached = measure()
    while reached < goal:
        before = reached
        until(f"{what}: more than {before} of {goal}", lambda: measure() > before, seconds)
        reached = measure()
