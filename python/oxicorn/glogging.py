"""The logger, with the interface of ``gunicorn.glogging``, so that ``logger_class`` can name a subclass.

Records go to the loggers ``gunicorn.error`` and ``gunicorn.access``. Their original handlers write to the logs of the server.
"""

import base64
import binascii
import configparser
import json
import logging
import logging.config
import os
import threading
import time
import traceback

from . import json_lines
from ._oxicorn import _logs
from .json_lines import ACCESS, ERROR, JsonFormatter, LineFormatter

LINE = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE = "[%Y-%m-%d %H:%M:%S %z]"
MESSAGE = "%(message)s"
# Defaults for what a configuration leaves out: both loggers and the root write to the standard streams.
CONFIG_DEFAULTS = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"generic": {"class": "logging.Formatter", "format": LINE, "datefmt": DATE}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stdout"},
        "error_console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"},
    },
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        ERROR: {"level": "INFO", "propagate": True, "handlers": ["error_console"]},
        ACCESS: {"level": "INFO", "propagate": True, "handlers": ["console"]},
    },
}


def config_defaults(cfg):
    """What a configuration may leave out. Lines are JSON if the settings ask for it."""
    generic = {**CONFIG_DEFAULTS["formatters"]["generic"]}
    if cfg.error_log_json:
        generic["class"] = f"{JsonFormatter.__module__}.{JsonFormatter.__name__}"
    elif cfg.access_log_json:
        generic["class"] = f"{LineFormatter.__module__}.{LineFormatter.__name__}"
    return {**CONFIG_DEFAULTS, "formatters": {"generic": generic}}


def loggers():
    """Return all existing loggers."""
    return [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]


class SafeAtoms(dict):
    """The atoms of a request. Names in braces are case-insensitive, and a missing value is a dash.

    Values are escaped: none can break a line, control a terminal, or close or escape the quotation marks around it.
    """

    # Whether the format is JSON.
    json = False

    def __init__(self, atoms):
        super().__init__((name, self.escape(value)) for name, value in atoms.items())
        self.said = atoms

    def escape(self, value):
        """Return the value, escaped for the format."""
        return _logs.escape(value, self.json) if isinstance(value, str) else value

    def __getitem__(self, name):
        name = name.lower() if name.startswith("{") else name
        if name in self:
            return self.get(name)
        # A precision cuts the value before it is escaped, so that no escape is cut.
        name, _, most = name.rpartition(".")
        return self.escape(str(self.said[name])[:int(most)]) if most.isdecimal() and name in self.said else "-"


class RequestRecord(logging.LogRecord):
    """A record that names the request that its thread works for, whichever logger made it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.request_id, self.trace_id, self.span_id = (value or "-" for value in _logs.request())


class Stream:
    """A log of the server as a file object."""

    encoding = "utf-8"

    def __init__(self, name):
        self.name = name

    def write(self, text):
        """Write text unchanged."""
        (_logs.error_text if self.name == ERROR else _logs.access_text)(text)
        return len(text)

    def flush(self):
        """Do nothing: there is no buffer."""


class OwnHandler(logging.StreamHandler):
    """Writes to a log of the server: its file, and syslog."""

    # gunicorn marks its own handlers in the same way.
    _gunicorn = True
    _plain = logging.Formatter(MESSAGE)

    def __init__(self, name, formatter, is_stock):
        super().__init__(Stream(name))
        self.own_stream = self.stream
        self.use(formatter, is_stock)

    def use(self, formatter, is_stock):
        """Use this formatter. A stock formatter makes the same lines as the server."""
        self.formatter = self.made_with = formatter
        self.stock = formatter if is_stock else None

    def emit(self, record):
        """Write one record."""
        if self.stream is not self.own_stream:
            super().emit(record)
            return
        try:
            if self.stream.name == ACCESS:
                _logs.write_access(self.format(record))
            elif isinstance(self.formatter, JsonFormatter):
                line = self.format(record)
                _logs.write_error(record.levelno, line, line + self.terminator)
            elif self.formatter is self.stock:
                _logs.write_error(record.levelno, self._plain.format(record), None)
            else:
                _logs.write_error(record.levelno, self._plain.format(record), self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)


class Logger:
    """The error log and the access log."""

    LOG_LEVELS = {
        "critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG,
    }
    loglevel = logging.INFO
    error_fmt = LINE
    datefmt = DATE
    access_fmt = MESSAGE
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class = SafeAtoms

    def __init__(self, cfg):
        self.error_log, self.access_log = logging.getLogger(ERROR), logging.getLogger(ACCESS)
        self.error_log.propagate = self.access_log.propagate = False
        self.error_handlers, self.access_handlers = [], []
        self.logfile = None
        self.lock = threading.Lock()
        self.cfg = cfg
        self.setup(cfg)

    def setup(self, cfg):
        """Apply settings, at the start and after each reload."""
        self.cfg = cfg
        form = _logs.access_format(cfg.access_log_format, cfg.access_log_json)
        self._access_format, SafeAtoms.json, self._writes_objects = form
        json_lines.access_is_json = SafeAtoms.json
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        # Another factory is the application's own.
        if (cfg.request_id != "off" or cfg.error_log_json) and logging.getLogRecordFactory() is logging.LogRecord:
            logging.setLogRecordFactory(RequestRecord)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        json_formatter = JsonFormatter() if cfg.error_log_json else None
        self._set_handler(self.error_log, cfg.errorlog, json_formatter or logging.Formatter(self.error_fmt, self.datefmt))
        self._set_handler(self.access_log, cfg.accesslog, logging.Formatter(self.access_fmt))
        if cfg.logconfig_dict:
            logging.config.dictConfig({**config_defaults(cfg), **cfg.logconfig_dict})
        elif cfg.logconfig_json:
            with open(cfg.logconfig_json, encoding="utf-8") as opened:
                logging.config.dictConfig({**config_defaults(cfg), **json.load(opened)})
        elif cfg.logconfig:
            path = os.path.abspath(cfg.logconfig)
            parser = configparser.ConfigParser({"__file__": path, "here": os.path.dirname(path)})
            with open(path, encoding="utf-8") as opened:
                parser.read_file(opened)
            logging.config.fileConfig(parser, disable_existing_loggers=False)
        if json_formatter is not None:
            # Handlers for which the configuration names no formatter.
            for logger in (self.error_log, self.access_log, logging.root):
                for handler in logger.handlers:
                    if handler.formatter is None:
                        handler.setFormatter(json_formatter)

    def critical(self, msg, *args, **kwargs):
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg, *args, **kwargs):
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg, *args, **kwargs):
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg, *args, **kwargs):
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg, *args, **kwargs):
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg, *args, **kwargs):
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        """Log at a level, given by name or number."""
        if isinstance(lvl, str):
            lvl = self.LOG_LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    @property
    def access_log_enabled(self):
        """Whether the settings ask for an access log."""
        cfg = self.cfg
        syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
        return bool(cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or syslog)

    def access(self, resp, req, environ, request_time):
        """Log a finished request."""
        if self.access_log_enabled:
            atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
            form = self._access_format
            if self._writes_objects:
                line = getattr(resp, "object", None) or self._object(atoms)
                form = line.replace("%", "%%")
            try:
                self.access_log.info(form, atoms)
            except Exception:
                self.error(traceback.format_exc())

    def atoms(self, resp, req, environ, request_time):
        """Return the atoms of a request by name."""
        status, microseconds = resp.status, request_time.seconds * 1_000_000 + request_time.microseconds
        line = " ".join(environ.get(name, "-") for name in ("REQUEST_METHOD", "RAW_URI", "SERVER_PROTOCOL"))
        sent = getattr(resp, "sent", None)
        atoms = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": line,
            "s": status.split(None, 1)[0] if isinstance(status, str) else status,
            "m": environ.get("REQUEST_METHOD"),
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": request_time.seconds,
            "D": microseconds,
            "M": microseconds // 1000,
            "L": f"{request_time.seconds}.{request_time.microseconds:06}",
            "p": f"<{os.getpid()}>",
        }
        for pairs, letter in ((getattr(req, "headers", req), "i"), (resp.headers, "o"), (environ, "e")):
            pairs = pairs.items() if hasattr(pairs, "items") else pairs
            atoms.update((f"{{{name.lower()}}}{letter}", value) for name, value in pairs)
        return atoms

    def _object(self, atoms):
        """An object of a request that the server does not know."""
        line = _logs.access_format('%(h)s %(t)s "%(r)s" %(s)s %(B)s', False)[0] % atoms
        return "{" + json_lines.members({"message": line}) + "}"

    def now(self):
        """Return the time in the format of the access log."""
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def reopen_files(self):
        """Reopen the files of all handlers. The server reopens its own."""
        for logger in [logging.root, *loggers()]:
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.FileHandler):
                    with handler.lock:
                        if handler.stream is not None:
                            handler.close()
                            handler.stream = handler._open()

    def close_on_exec(self):
        """Do nothing: all descriptors of the server and of Python are close-on-exec."""

    def _get_gunicorn_handler(self, log):
        return next((handler for handler in log.handlers if getattr(handler, "_gunicorn", False)), None)

    def _set_handler(self, log, output, fmt, stream=None):
        """Add a handler that writes to a log of the server, wherever the settings put that."""
        usual = (fmt._fmt, fmt.datefmt) == ((MESSAGE, None) if log.name == ACCESS else (LINE, DATE))
        is_stock = usual or type(fmt) is JsonFormatter
        for handler in [handler for handler in log.handlers if getattr(handler, "_gunicorn", False)]:
            if isinstance(handler, OwnHandler):
                # It survives a reload, with the changes that other code has made to it.
                if handler.formatter is handler.made_with:
                    handler.use(fmt, is_stock)
                return
            log.removeHandler(handler)
        log.addHandler(OwnHandler(log.name, fmt, is_stock))

    def _get_user(self, environ):
        scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            return base64.b64decode(credentials.strip().encode()).split(b":", 1)[0].decode()
        except (binascii.Error, UnicodeError) as problem:
            self.debug("Couldn't get username: %s", problem)
            return None
