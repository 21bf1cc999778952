"""The loggers gunicorn.error and gunicorn.access, configured by logconfig, logconfig_json or logconfig_dict."""

import configparser
import json
import logging
import logging.config
import os

from . import _oxicorn, kept

ERROR, ACCESS = "gunicorn.error", "gunicorn.access"
LINE = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE = "[%Y-%m-%d %H:%M:%S %z]"


class Own(logging.Handler):
    """Hands records back to the server: to its log files, and to syslog. In place until a configuration replaces it."""

    def __init__(self, write):
        super().__init__()
        self.write = write

    def emit(self, record):
        """Write one record."""
        self.write(record, self.format(record))


class Atoms(dict):
    """The atoms of a request; those in braces in any case, and a dash for what there is not."""

    def __missing__(self, name):
        if name.startswith("{"):
            return self.get(name.lower(), "-")
        return "-"


class Loggers:
    """Configured at construction; an exception says what is wrong with the configuration."""

    _last = None

    def __init__(self, level, access_format, dictionary=None, json_file=None, file=None):
        # What is in the files now: they may be others when it has to be gone back to.
        if dictionary is not None:
            content = kept.value(dictionary)
        elif json_file is not None:
            with open(json_file, encoding="utf-8") as opened:
                content = json.load(opened)
        else:
            with open(file, encoding="utf-8") as opened:
                content = (os.path.abspath(file), opened.read())
        self.options = (level, content)
        self.access_format = access_format
        self.error_log, self.access_log = logging.getLogger(ERROR), logging.getLogger(ACCESS)
        try:
            self._configure(*self.options)
        except Exception:
            # It may have come half way.
            if Loggers._last is not None:
                self._configure(*Loggers._last)
            raise
        Loggers._last = self.options
        self.level = self._level()

    def error(self, number, text):
        """Take a record of the error log."""
        self.error_log.log(number, text)

    def access(self, atoms):
        """Take a request."""
        self.access_log.info(self.access_format, Atoms(atoms))

    def reopen(self):
        """Open the files of all handlers again by their names."""
        for logger in [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]:
            for handler in logger.handlers:
                if isinstance(handler, logging.FileHandler):
                    with handler.lock:
                        if handler.stream is not None:
                            handler.close()
                            handler.stream = handler._open()

    def _configure(self, level, content):
        number = getattr(logging, level.upper())
        self._own(self.error_log, number, lambda record, text: _oxicorn._logs.write_error(record.levelno, text))
        self._own(self.access_log, logging.INFO, lambda record, text: _oxicorn._logs.write_access(text))
        if isinstance(content, dict):
            logging.config.dictConfig({**_base(), **content})
        else:
            path, text = content
            parser = configparser.ConfigParser({"__file__": path, "here": os.path.dirname(path)})
            parser.read_string(text, path)
            logging.config.fileConfig(parser, disable_existing_loggers=False)

    @staticmethod
    def _own(logger, number, write):
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.propagate = False
        logger.setLevel(number)
        logger.addHandler(Own(write))

    def _level(self):
        """The name of the least level that the error log takes."""
        least = self.error_log.getEffectiveLevel()
        for number, name in ((10, "debug"), (20, "info"), (30, "warning"), (40, "error")):
            if least <= number:
                return name
        return "critical"


def _base():
    """What a configuration may leave out: both loggers and the root on the standard streams."""
    logger = {"level": "INFO", "propagate": True}
    stream = {"class": "logging.StreamHandler", "formatter": "generic"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"generic": {"class": "logging.Formatter", "format": LINE, "datefmt": DATE}},
        "handlers": {
            "console": {**stream, "stream": "ext://sys.stdout"},
            "error_console": {**stream, "stream": "ext://sys.stderr"},
        },
        "root": {"level": "INFO", "handlers": ["console"]},
        "loggers": {
            ERROR: {**logger, "handlers": ["error_console"]},
            ACCESS: {**logger, "handlers": ["console"]},
        },
    }
