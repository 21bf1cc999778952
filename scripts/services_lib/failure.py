"""An error that the user can fix: one clear message without a traceback."""


class Failure(Exception):
    """The message says what failed, with the end of the log if there is one."""
