"""The files of the loaded modules."""

import sys


def files():
    """Return the files of all modules that have one; for a cache file, its source."""
    found = set()
    for module in list(sys.modules.values()):
        try:
            path = getattr(module, "__file__", None)
        except Exception:
            # A lazy module loads itself on the first access, and may fail.
            continue
        if isinstance(path, str):
            found.add(path[:-1] if path.endswith((".pyc", ".pyo")) else path)
    return sorted(found)
