"""Waiting for something to become true, never for time to pass."""

import time

# Far beyond what one thing takes on a busy machine: a test that reaches it has failed.
PATIENCE = 20.0
# Asked at least so often: a machine that gives us little time gives us fewer answers.
LOOKS = 200


def until(what, condition, seconds=PATIENCE):
    """Asks until the answer is truthy, and returns it; `what` says in the failure what did not come."""
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


def until_after(what, measure, goal, seconds=PATIENCE):
    """Waits until `measure` has come to the goal, for as long as it goes up."""
    reached = measure()
    while reached < goal:
        before = reached
        until(f"{what}: more than {before} of {goal}", lambda: measure() > before, seconds)
        reached = measure()
