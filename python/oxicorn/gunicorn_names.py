"""The module ``gunicorn`` for code that wants its logger or its name, where there is no gunicorn.

A config file or an application may say ``from gunicorn import glogging``. What is found by other ways goes before this; nothing is
loaded before somebody asks for it.
"""

import importlib.machinery
import sys

from ._oxicorn import SERVER_SOFTWARE

SERVER = "gunicorn"


class Finder:
    """The last finder of modules."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        """A package without a place, and one module in it."""
        if name == SERVER:
            return importlib.machinery.ModuleSpec(name, cls, origin="oxicorn", is_package=True)
        if name == f"{SERVER}.glogging" and getattr(sys.modules.get(SERVER), "__loader__", None) is cls:
            return importlib.machinery.ModuleSpec(name, cls, origin="oxicorn")
        return None

    @staticmethod
    def create_module(spec):
        """As always."""

    @staticmethod
    def exec_module(module):
        """Give the module its names."""
        if module.__name__ == SERVER:
            version = SERVER_SOFTWARE.split()[0].partition("/")[2]
            module.SERVER, module.__version__ = SERVER, version
            module.SERVER_SOFTWARE = f"{SERVER}/{version}"
            module.version_info = tuple(map(int, version.split(".")))
        else:
            from . import glogging

            module.__dict__.update({name: value for name, value in vars(glogging).items() if not name.startswith("__")})


def install():
    """Have the modules be found."""
    if Finder not in sys.meta_path:
        sys.meta_path.append(Finder)
