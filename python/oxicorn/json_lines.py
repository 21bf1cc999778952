"""Records of Python's ``logging`` as JSON objects, one a line, whatever is in them."""

import logging
import math

from ._oxicorn import _logs

ERROR, ACCESS = "gunicorn.error", "gunicorn.access"
# Attributes that every record has, and those that have members of their own.
USUAL = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName", "request_id", "trace_id", "span_id"}
# Deeper structures are written as text.
DEPTH = 8

# Whether lines of the access log are JSON.
access_is_json = False


class LineFormatter(logging.Formatter):
    """Formats records as usual, except that a line of the access log that is JSON stays as it is."""

    def format(self, record):
        """Return the line of a record."""
        if access_is_json and record.name == ACCESS:
            return record.getMessage()
        return super().format(record)


class JsonFormatter(LineFormatter):
    """Formats records as JSON objects, with OpenTelemetry's names, and what ``extra`` has added."""

    def format(self, record):
        """Return the object of a record."""
        if access_is_json and record.name == ACCESS:
            return record.getMessage()
        extra = {name: value for name, value in vars(record).items() if name not in USUAL}
        if record.stack_info:
            extra["code.stacktrace"] = self.formatStack(record.stack_info)
        logger = None if record.name == ERROR else record.name
        request = _request(record)
        return _logs.error_object(
            record.created, record.levelname, record.getMessage(), logger, self._exception(record), request, members(extra),
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
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return _text(value)
    if depth > 0 and isinstance(value, dict):
        inside = (f"{_string(_text(key))}:{encode(item, depth - 1)}" for key, item in value.items())
        return "{" + ",".join(inside) + "}"
    if depth > 0 and isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ",".join(encode(item, depth - 1) for item in value) + "]"
    return _string(_text(value))


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
