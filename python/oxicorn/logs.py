"""The logger of the settings, and whether its two Python loggers have been changed.

The server writes its lines itself as long as they are unchanged. A logger class, a logging configuration, or a changed level, filter,
handler or formatter sends every record through Python.
"""

import importlib
import logging

from . import glogging, json_lines, kept
from .fork_gate import ForkGate
from .request import Request, Response

STOCK = ("gunicorn.glogging.Logger", "gunicorn.instrument.statsd.Statsd", "simple")
LEVELS = ((10, "debug"), (20, "info"), (30, "warning"), (40, "error"))
# Attributes of the logger class that are used per request.
OF_REQUESTS = ("access", "atoms", "now", "_get_user", "atoms_wrapper_class", "access_log_enabled")

# The current logger, and what its constructor added to the Python loggers.
_logger = None
_left = []
_no_fork = ForkGate()


def current():
    """Return the current logger."""
    return _logger


def open(cfg):
    """Apply settings. An exception says what is wrong with them, and leaves everything as before."""
    global _logger
    before = _logger
    made_by = before and before.cfg
    try:
        kind = _class(cfg)
        if type(before) is kind:
            before.setup(cfg)
        else:
            _logger = _make(kind, cfg)
        _use_json(_logger, cfg)
    except BaseException:
        _logger = before
        if before is not None:
            before.setup(made_by)
        raise


def _use_json(log, cfg):
    """Make the handlers of a logger class that is not ours, such as gunicorn's, write JSON if the settings ask for it."""
    if isinstance(log, glogging.Logger):
        return
    json_lines.access_is_json = False
    for name, wanted in ((glogging.ERROR, cfg.error_log_json), (glogging.ACCESS, cfg.access_log_json)):
        for handler in logging.getLogger(name).handlers:
            # gunicorn marks its own handlers so.
            if wanted and getattr(handler, "_gunicorn", False):
                handler.setFormatter(glogging.JsonFormatter())


def state():
    """Describe the state of the loggers.

    Returns whether the server can write its lines itself, the lowest level of the error log, whether requests are logged, whether
    the class needs them as objects, and facts that would differ after a change.
    """
    log = _logger
    wants_objects = not isinstance(log, glogging.Logger) or any(
        getattr(type(log), name) is not getattr(glogging.Logger, name) for name in OF_REQUESTS
    )
    overridden = wants_objects and getattr(type(log), "access", None) is not glogging.Logger.access
    least = log.error_log.getEffectiveLevel()
    least = next((name for number, name in LEVELS if least <= number), "critical")
    is_plain = (
        type(log) is glogging.Logger
        and not (log.cfg.logconfig_dict or log.cfg.logconfig_json or log.cfg.logconfig)
        and log.error_log.level == log.loglevel
        and log.access_log.level == logging.INFO
        and all(map(_is_plain, (log.error_log, log.access_log)))
        and logging.root.manager.disable == 0
        and logging.getLogRecordFactory() in (logging.LogRecord, glogging.RequestRecord)
    )
    facts = [("item", vars(logging.root.manager), "_disable"), ("item", vars(logging), "_logRecordFactory")]
    for logger in (log.error_log, log.access_log):
        facts += _facts(logger, ("level", "disabled", "propagate", "filters", "handlers"))
        facts += [("length", logger.filters), ("length", logger.handlers)]
        if is_plain:
            (handler,) = logger.handlers
            facts += [("first", logger.handlers), ("length", handler.filters)]
            facts += _facts(handler, ("level", "filters", "formatter", "stream"))
    return is_plain, least, overridden or log.access_log_enabled, wants_objects, facts


def error(level, text):
    """Log a record of the error log."""
    with _no_fork:
        getattr(_logger, level)(text)


def atoms(form, values):
    """Log a request, given its atoms."""
    with _no_fork:
        _logger.access_log.info(form, Atoms(values))


def request(seen):
    """Log a request, given as objects."""
    import datetime

    environ = seen["environ"]
    request = Request(
        environ["REQUEST_METHOD"], environ["RAW_URI"], environ["PATH_INFO"], environ["QUERY_STRING"], seen["version"], seen["headers"],
        (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")), environ["wsgi.url_scheme"],
    )
    response = Response(seen["status"], int(seen["status"].split()[0]), seen["fields"], None)
    response.sent, response.object = seen["sent"], seen["object"]
    json_lines.access_object = seen["object"]
    try:
        with _no_fork:
            _logger.access(response, request, environ, datetime.timedelta(microseconds=seen["microseconds"]))
    finally:
        json_lines.access_object = None


def reopen():
    """Reopen files."""
    with _no_fork:
        _logger.reopen_files()


class Atoms(dict):
    """Escaped atoms of a request. Names in braces are case-insensitive, and a missing value is a dash."""

    def __missing__(self, name):
        if name.startswith("{"):
            return self.get(name.lower(), "-")
        return "-"


def _class(cfg):
    """The class that ``logger_class`` names."""
    name = cfg.logger_class
    if name in STOCK:
        return glogging.Logger
    found = kept.found(name)
    if found is not None:
        return found
    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as problem:
        raise RuntimeError(f"logger_class: {name} cannot be imported: {problem}") from problem
    if not callable(found):
        raise RuntimeError(f"logger_class: {name} is no class")
    return found


def _make(kind, cfg):
    """Make a new logger, and remove what the one before added to Python's loggers."""
    named = logging.getLogger(glogging.ERROR), logging.getLogger(glogging.ACCESS)
    for things, thing in _left:
        if thing in things:
            things.remove(thing)
    before = [list(things) for logger in named for things in (logger.handlers, logger.filters)]
    made = kind(cfg)
    after = [things for logger in named for things in (logger.handlers, logger.filters)]
    _left[:] = [(things, thing) for things, old in zip(after, before) for thing in things if thing not in old]
    return made


def _is_plain(logger):
    """Whether a logger and our handler on it are unchanged."""
    handler = logger.handlers[0] if len(logger.handlers) == 1 else None
    return (
        type(logger) is logging.Logger
        and not (logger.filters or logger.disabled or logger.propagate)
        and vars(logger).keys() == {*vars(_LOGGER), "manager"}
        and type(handler) is glogging.OwnHandler
        and not (handler.filters or handler.level)
        and handler.stock is not None
        and handler.formatter is handler.stock
        and handler.stream is handler.own_stream
        and type(handler.formatter) in (logging.Formatter, glogging.JsonFormatter)
        and vars(handler).keys() == vars(_HANDLER).keys()
    )


def _facts(thing, names):
    """Facts: the attributes with these names, the number of all attributes, and the class."""
    return [*(("item", vars(thing), name) for name in names), ("length", vars(thing)), ("class", thing)]


# Unchanged objects to compare with.
_LOGGER = logging.Logger("oxicorn")
_HANDLER = glogging.OwnHandler(glogging.ERROR, None, is_stock=False)
