"""The command line of this process."""

import sys


def line():
    """Return the command line that starts this program again: interpreter, its options, script and arguments."""
    # Missing before Python 3.10.
    original = getattr(sys, "orig_argv", None)
    if original:
        return [sys.executable, *original[1:]]
    package = getattr(sys.modules["__main__"], "__package__", None)
    script = ["-m", package] if package else sys.argv[:1]
    return [sys.executable, *script, *sys.argv[1:]]
