"""The error log for Python code: hooks, and applications that look for gunicorn's loggers."""

import logging

from . import _oxicorn

_LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


class ErrorLog(logging.Handler):
    """Records into the error log of the server."""

    def emit(self, record):
        try:
            _oxicorn._logs.write_error(record.levelno, self.format(record))
        except Exception:
            self.handleError(record)


def install(level):
    """Make ``gunicorn.error`` the error log, unless ``logconfig`` has made something of it."""
    logger = logging.getLogger("gunicorn.error")
    if not logger.handlers:
        logger.addHandler(ErrorLog())
        logger.propagate = False
    if any(isinstance(handler, ErrorLog) for handler in logger.handlers):
        logger.setLevel(_LEVELS.get(level, logging.INFO))


class Log:
    """The error log, with gunicorn's methods. Applications find it as the logger ``gunicorn.error``."""

    def __init__(self, level):
        self.error_log = logging.getLogger("gunicorn.error")
        self.access_log = logging.getLogger("gunicorn.access")
        self.set_level(level)

    def set_level(self, level):
        """Let records of this weight and above through."""
        install(level)

    def critical(self, message, *arguments, **keywords):
        self.error_log.critical(message, *arguments, **keywords)

    def error(self, message, *arguments, **keywords):
        self.error_log.error(message, *arguments, **keywords)

    def warning(self, message, *arguments, **keywords):
        self.error_log.warning(message, *arguments, **keywords)

    def info(self, message, *arguments, **keywords):
        self.error_log.info(message, *arguments, **keywords)

    def debug(self, message, *arguments, **keywords):
        self.error_log.debug(message, *arguments, **keywords)

    def exception(self, message, *arguments, **keywords):
        self.error_log.exception(message, *arguments, **keywords)

    def log(self, level, message, *arguments, **keywords):
        if isinstance(level, str):
            level = _LEVELS.get(level.lower(), logging.INFO)
        self.error_log.log(level, message, *arguments, **keywords)

    def reopen_files(self):
        """Nothing to do: the server does it on SIGUSR1."""

    def close_on_exec(self):
        """Nothing to do: no descriptor of the server survives an exec."""
