"""Compares two observations. Each difference has to be in differences.py, and each entry there has to be a difference."""

import fnmatch
import os
import re

from differences import ANY, DIFFERENCES

ABSENT = "(absent)"


def compare(case, gunicorn, oxicorn, differences=DIFFERENCES):
    """Fails if the two differ without an entry, or have an entry and do not differ."""
    entries = [entry for entry in differences if matches(case, entry.case)]
    excused, wrong = set(), []
    for fact in sorted(gunicorn.keys() | oxicorn.keys()):
        theirs, ours = gunicorn.get(fact, ABSENT), oxicorn.get(fact, ABSENT)
        if theirs == ours:
            continue
        entry = next((entry for entry in entries if matches(fact, entry.fact) and holds(entry, theirs, ours)), None)
        if entry is None:
            wrong.append(f"{fact}\n    gunicorn: {theirs!r}\n    oxicorn:  {ours!r}")
        else:
            excused.add(id(entry))
            note(entry)
    facts = gunicorn.keys() | oxicorn.keys()
    for entry in entries:
        # A pattern of cases applies to those that have the fact.
        due = not re.search(r"[*?\[]", entry.case) or any(matches(fact, entry.fact) for fact in facts)
        if due and id(entry) not in excused:
            wrong.append(f"{entry.fact}: differences.py lists it for {entry.case!r}, and the two do not differ so")
    assert not wrong, f"{case} differs:\n  " + "\n  ".join(wrong)


def matches(name, patterns):
    """A pattern, or several: `environ/* | refusals/no host`."""
    return any(fnmatch.fnmatchcase(name, pattern.strip()) for pattern in patterns.split(" | "))


def holds(entry, theirs, ours):
    return (entry.gunicorn is ANY or entry.gunicorn == theirs) and (entry.oxicorn is ANY or entry.oxicorn == ours)


def note(entry):
    """Records that the entry was seen, for the check at the end of a whole run (conftest.py)."""
    if folder := os.environ.get("OXICORN_TESTS_SEEN"):
        open(os.path.join(folder, str(DIFFERENCES.index(entry)) if entry in DIFFERENCES else "other"), "a").close()
