"""Config files: Python that is executed in the master, as gunicorn does it, and its variables as settings."""

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
    """The file cannot be executed; the message is for people, with a traceback where there is one."""


def read(place, is_module, directory, hooks):
    """Execute a config file anew.

    ``hooks`` has the number of arguments of each hook by its name. Returns the variables, as triples of name, kind and
    what there is of it, and the functions of the hooks by name.
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
    """Execute a config file, or import a module, anew, and return its variables by their names."""
    try:
        return _import(place) if is_module else _execute(place)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ConfigFileError(_describe(error)) from None


def default_file(directory):
    """The config file that counts where none is named; ``None`` where there is none."""
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
        # Settings are lower case; whoever writes one in capitals is told so.
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
        # Never from a cache: that takes a file for unchanged when it changes twice within a second.
        with open(path, "rb") as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
    return vars(module)


def _import(name):
    # The second time it is to be executed again, like a file.
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return vars(importlib.import_module(name))


def _describe(error):
    trace = error.__traceback__
    # Where it is ours it is of no interest.
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def convert(name, value):
    """The kind of a value and its text in the form that the settings read."""
    if value is None:
        return "nothing", ""
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, int):
        # Those of ssl are numbers with a name.
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
    """gunicorn takes the class itself as well, and a function that returns it."""
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
        # Some built-in functions do not tell.
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
    """The settings of a program that embeds the server, read again; in the form of ``read``."""
    application.reload()
    return _values(application.cfg.chosen, hooks)
