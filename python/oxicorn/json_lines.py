"""Records of Python's ``logging`` as JSON objects, one a line, whatever is in them."""

import json
import logging
import math

from ._oxicorn import _logs

ERROR, ACCESS = "gunicorn.error", "gunicorn.access"
# Attributes that every record has, and those that have members of their own.
USUAL = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName", "request_id", "trace_id", "span_id"}
# Members that `extra` cannot replace.
OWN = {"timestamp", "severity", "logger", "exception.type", "exception.message", "exception.stacktrace", "code.stacktrace", "process.pid"}
# Deeper structures are written as text.
DEPTH = 8

# Whether messages of the access log are JSON.
access_is_json = False
# The server's own object of the request that is being logged.
access_object = None


class LineFormatter(logging.Formatter):
    """Formats records as usual, except that a line of the access log that is JSON stays as it is."""

    def format(self, record):
        """Return the line of a record."""
        return _access_line(record) or super().format(record)


class JsonFormatter(LineFormatter):
    """Formats records as JSON objects, with OpenTelemetry's names, and what ``extra`` has added."""

    def format(self, record):
        """Return the object of a record."""
        line = _access_line(record)
        if line is not None:
            return line
        extra = {name: value for name, value in vars(record).items() if name not in USUAL and name not in OWN}
        if record.stack_info:
            extra["code.stacktrace"] = self.formatStack(record.stack_info)
        logger = None if record.name == ERROR else record.name
        request = _request(record)
        return _logs.error_object(
            record.created, record.levelname, _message(record), logger, self._exception(record), request, members(extra),
        )

    def _exception(self, record):
        if not record.exc_info or record.exc_info[0] is None:
            return ("", "", record.exc_text) if record.exc_text else None
        kind, value = record.exc_info[:2]
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return name, _text(value), record.exc_text or self.formatException(record.exc_info)


def members(values):
    """The members of an object, without its braces."""
    return ",".join(f"{_string(_text(name))}:{encode(value)}" for name, value in values.items())


def encode(value, depth=DEPTH):
    """JSON for any value. What JSON cannot have, such as an infinite number, becomes text."""
    if value is None:
        return "null"
    if value is True or value is False:
        return str(value).lower()
    if (type(value) is int and abs(value) < 1 << 64) or (type(value) is float and math.isfinite(value)):
        return repr(value)
    if depth > 0 and isinstance(value, dict):
        inside = (f"{_string(_text(key))}:{encode(item, depth - 1)}" for key, item in value.items())
        return "{" + ",".join(inside) + "}"
    if depth > 0 and isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ",".join(encode(item, depth - 1) for item in value) + "]"
    return _string(_text(value))


def _message(record):
    try:
        return record.getMessage()
    except Exception as problem:
        return f"{_text(record.msg)} ({type(problem).__name__} with its arguments)"


def _access_line(record):
    """The line of a request, if it is JSON."""
    if record.name != ACCESS:
        return None
    if access_object is not None:
        return access_object
    message = record.getMessage()
    return message if access_is_json or _is_object(message) else None


def _is_object(text):
    """Whether a text that a foreign logger class has made is an object."""
    if not text.startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict) and text.isprintable()
    except ValueError:
        return False


def _string(text):
    return f'"{_logs.escape(text, True)}"'


def _text(value):
    try:
        return str(value)
    except Exception as problem:
        return f"<{type(value).__name__} without text: {type(problem).__name__}>"


def _request(record):
    """Id, trace and span: those of when the record was made, if they are known."""
    if hasattr(record, "request_id"):
        names = (record.request_id, getattr(record, "trace_id", ""), getattr(record, "span_id", ""))
        return tuple("" if value == "-" else _text(value) for value in names)
    return _logs.request()
