"""A module ``gunicorn`` for code that imports its logger or its name, if gunicorn is not installed.

A config file or an application may say ``from gunicorn import glogging``. An installed gunicorn takes precedence, and nothing is
loaded before the first import.
"""

import importlib.machinery
import sys

from ._oxicorn import SERVER_SOFTWARE

SERVER = "gunicorn"


class Finder:
    """The last finder of the module search."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """Find the package and its module ``glogging``."""
        if name == SERVER:
            return importlib.machinery.ModuleSpec(name, cls, origin="oxicorn", is_package=True)
        if name == f"{SERVER}.glogging" and getattr(sys.modules.get(SERVER), "__loader__", None) is cls:
            return importlib.machinery.ModuleSpec(name, cls, origin="oxicorn")
        return None

    @staticmethod
    def create_module(spec):
        """Use the default."""

    @staticmethod
    def exec_module(module):
        """Fill the module."""
        if module.__name__ == SERVER:
            version = SERVER_SOFTWARE.split()[0].partition("/")[2]
            module.SERVER, module.__version__ = SERVER, version
            module.SERVER_SOFTWARE = f"{SERVER}/{version}"
            module.version_info = tuple(map(int, version.split(".")))
        else:
            from . import glogging

            module.__dict__.update({name: value for name, value in vars(glogging).items() if not name.startswith("__")})


def install():
    """Add the finder."""
    if Finder not in sys.meta_path:
        sys.meta_path.append(Finder)
