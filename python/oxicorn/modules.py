"""Which files the code of this process was loaded from."""

import sys


def files():
    """Return the files of all modules that have one; those of caches as the sources that they were made of."""
    found = set()
    for module in list(sys.modules.values()):
        try:
            path = getattr(module, "__file__", None)
        except Exception:
            # Modules that load themselves when they are first asked for something may fail to.
            continue
        if isinstance(path, str):
            found.add(path[:-1] if path.endswith((".pyc", ".pyo")) else path)
    return sorted(found)
