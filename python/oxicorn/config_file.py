"""Executes config files in the master and makes settings of their variables, like gunicorn."""

import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
import types

from . import identity
from .kept import keep, keep_class
from .standard_library import give_way, protect

# The name that config files run under.
MODULE = "__config__"
DEFAULT_FILES = ("gunicorn.conf.py", "oxicorn.conf.py")


class ConfigFileError(Exception):
    """The file cannot be executed. The message says why, with the traceback if there is one."""


def read(place, is_module, directory, hooks):
    """Execute a config file.

    ``hooks`` has the number of arguments of each hook by its name. Returns the variables as triples of name, kind and value,
    and the functions of the hooks by name.
    """
    directory = os.fspath(directory)
    protect()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    give_way()
    found = dict(variables(place, is_module))
    field = identity.field()
    if field is not None:
        found.setdefault("server_header", field)
    return _values(found, hooks)


def variables(place, is_module):
    """Execute a config file, or import a module again, and return its variables by name."""
    try:
        return _import(place) if is_module else _execute(place)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigFileError(_describe(error)) from None


def default_file(directory):
    """Return the config file that is used if none is named, or ``None``."""
    places = (os.path.join(directory, name) for name in DEFAULT_FILES)
    return next(filter(os.path.exists, places), None)


def _values(found, hooks):
    values, functions = [], {}
    for name, value in sorted(found.items()):
        if name in hooks:
            kind, text, function = _hook(name, value, hooks[name])
            if function is not None:
                functions[name] = function
        else:
            kind, text = convert(name, value)
        # Settings are lower case. A name in capitals is passed on, so that the server can report it.
        counts = name.islower() or kind != "other"
        if counts and not name.startswith("_") and not isinstance(value, types.ModuleType):
            values.append((name, kind, text))
    return values, functions


def _execute(path):
    extension = os.path.splitext(path)[1]
    loader = None if extension in (".py", ".pyc") else importlib.machinery.SourceFileLoader(MODULE, path)
    spec = importlib.util.spec_from_file_location(MODULE, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    if extension == ".pyc":
        spec.loader.exec_module(module)
    else:
        # Never from a cache, which misses a second change within the same second.
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return vars(module)


def _import(name):
    # Import it again, so that it is executed again like a file.
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return vars(importlib.import_module(name))


def _describe(error):
    trace = error.__traceback__
    # Leave out our own frames.
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def convert(name, value):
    """Return the kind of a value, and the value in the form that the settings read."""
    if value is None:
        return "nothing", ""
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int):
        # Constants of ssl are enums.
        return "text", str(int(value))
    if isinstance(value, float):
        return "text", repr(value)
    if isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        return ("text", text.strip()) if isinstance(text, str) else ("other", "a path of bytes")
    if name in ("worker_class", "logger_class"):
        return _class(name, value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _list(value)
    if isinstance(value, dict):
        return _dictionary(name, value)
    return "other", _article(value)


def _list(values):
    strangers = [value for value in values if not isinstance(value, (str, int))]
    if strangers:
        return "other", f"a list with {_article(strangers[0])} in it"
    return "list", [str(value).strip() for value in values]


def _dictionary(name, value):
    if name == "logconfig_dict":
        return "text", keep(value)
    if name == "secure_scheme_headers":
        return "text", ",".join(f"{field}={text}" for field, text in value.items())
    return "other", "a dictionary"


def _class(name, value):
    """Like gunicorn, accept the class itself and a function that returns it."""
    if inspect.isfunction(value) or inspect.ismethod(value):
        value = value()
    if inspect.isclass(value) and name == "logger_class":
        return "text", keep_class(value)
    if inspect.isclass(value):
        return "text", f"{value.__module__}.{value.__qualname__}"
    return ("text", value.strip()) if isinstance(value, str) else ("other", _article(value))


def _hook(name, value, arity):
    if value is None:
        return "nothing", "", None
    if isinstance(value, str):
        module, _, attribute = value.strip().rpartition(".")
        try:
            value = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            return "other", f"{value}, which cannot be imported: {error}", None
    if not callable(value):
        return "other", _article(value), None
    # A hook may leave out the response, or environ and response.
    fewest = 2 if name == "post_request" else arity
    for count in range(arity, fewest - 1, -1):
        if _takes(value, count):
            function = value if count == arity else _cut(value, count)
            return "function", getattr(value, "__qualname__", repr(value)), function
    return "other", f"a function of {_arity(value)} arguments", None


def _cut(function, count):
    return lambda *arguments: function(*arguments[:count])


def _takes(function, count):
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        # Some built-in functions have no signature.
        return True
    return True


def _arity(function):
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return sum(parameter.kind in positional for parameter in parameters)


def _article(value):
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def of_program(application, hooks):
    """Read the settings of an embedding program again; returns the same as ``read``."""
    application.reload()
    return _values(application.cfg.chosen, hooks)
