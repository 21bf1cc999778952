"""Which modules the standard library provides, and which a project may replace, as under gunicorn."""

import contextlib
import os
import sys
from importlib.machinery import PathFinder

# Names that a project cannot have under gunicorn: its script loads the standard modules before it looks into the project.
# `queue` is one of these too, with a new gunicorn alone.
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
    """Finds those in the standard library, whether the master has loaded them or not."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is not None or name not in TAKEN:
            return None
        return PathFinder.find_spec(name, list(filter(is_entry, sys.path)), target)


def protect():
    """From here on the module search path may begin with the project's directories."""
    if TakenNames not in sys.meta_path:
        sys.meta_path.insert(0, TakenNames)


def give_way():
    """Forget the standard modules that are in the way of the project's own.

    A directory before the standard library on the module search path has one of the same name, which is what an import
    would have found, had the server not loaded the other.
    """
    first = next((number for number, entry in enumerate(sys.path) if is_entry(entry)), len(sys.path))
    ahead = [entry for entry in sys.path[:first] if isinstance(entry, str)]
    names = {name.partition(".")[0] for name in sys.modules} - TAKEN
    for name in sorted(names & _listed(ahead)):
        found = PathFinder.find_spec(name, ahead)
        # Without a loader it is a mere folder, which any module goes before.
        if found and found.loader and _is_standard_module(sys.modules[name] if name in sys.modules else None):
            for loaded in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
                del sys.modules[loaded]


def _listed(directories):
    """The names of what is in them, without what follows a full stop."""
    found = set()
    for directory in directories:
        with contextlib.suppress(OSError):
            found.update(name.partition(".")[0] for name in os.listdir(directory or os.curdir))
    return found


def is_entry(entry):
    """Whether an entry of the module search path is the standard library's."""
    # As imports do, which pass over what is no text.
    if not isinstance(entry, str):
        return False
    inside = entry == STANDARD or entry.startswith(STANDARD + os.sep)
    archive = "python%d%d.zip" % sys.version_info[:2]
    return inside and "-packages" not in entry or os.path.basename(entry) == archive


def _is_standard_module(module):
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return origin in ("built-in", "frozen") or isinstance(origin, str) and is_entry(os.path.dirname(origin))
