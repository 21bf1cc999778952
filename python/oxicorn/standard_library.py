"""Which modules the standard library provides, and which a project may replace, as under gunicorn."""

import contextlib
import os
import sys
from importlib.machinery import PathFinder

# Names that a project cannot use under gunicorn, whose script loads these standard modules before it looks into the project.
# The newest gunicorn also loads `queue`.
TAKEN = frozenset(
    """
    abc argparse array ast atexit base64 binascii bisect builtins bz2 calendar codecs collections contextlib copy copyreg
    csv datetime dis email encodings enum errno fcntl fnmatch functools genericpath gettext glob grp heapq html importlib
    inspect io ipaddress itertools keyword linecache locale logging lzma marshal math ntpath opcode operator os pathlib
    posix posixpath pwd quopri random re reprlib select selectors shlex shutil signal site socket ssl stat string struct
    sys tempfile textwrap threading time token tokenize traceback types typing urllib warnings weakref zipfile zipimport
    zlib
    """.split()
)
STANDARD = os.path.dirname(os.__file__)


class TakenNames:
    """Finds these names in the standard library, whether or not the master has loaded them."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is not None or name not in TAKEN:
            return None
        return PathFinder.find_spec(name, list(filter(is_entry, sys.path)), target)


def protect():
    """Call this before directories of the project come first on the module search path."""
    if TakenNames not in sys.meta_path:
        sys.meta_path.insert(0, TakenNames)


def give_way():
    """Unload standard modules that hide modules of the project.

    A directory before the standard library on the module search path has a module of the same name, which an import would
    find if the server had not already loaded the standard one.
    """
    first = next((number for number, entry in enumerate(sys.path) if is_entry(entry)), len(sys.path))
    ahead = [entry for entry in sys.path[:first] if isinstance(entry, str)]
    names = {name.partition(".")[0] for name in sys.modules} - TAKEN
    for name in sorted(names & _listed(ahead)):
        found = PathFinder.find_spec(name, ahead)
        # Without a loader it is a plain folder, and a module takes precedence.
        if found and found.loader and _is_standard_module(sys.modules[name] if name in sys.modules else None):
            for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
                del sys.modules[loaded]


def _listed(directories):
    """The names of their entries, up to the first full stop."""
    found = set()
    for directory in directories:
        with contextlib.suppress(OSError):
            found.update(name.partition(".")[0] for name in os.listdir(directory or os.curdir))
    return found


def is_entry(entry):
    """Whether an entry of the module search path belongs to the standard library."""
    # Imports skip entries that are not strings, too.
    if not isinstance(entry, str):
        return False
    inside = entry == STANDARD or entry.startswith(STANDARD + os.sep)
    archive = "python%d%d.zip" % sys.version_info[:2]
    return inside and "-packages" not in entry or os.path.basename(entry) == archive


def _is_standard_module(module):
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return origin in ("built-in", "frozen") or isinstance(origin, str) and is_entry(os.path.dirname(origin))
