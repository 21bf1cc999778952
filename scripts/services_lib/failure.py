"""What goes wrong in a way that the person at the keyboard can mend: one clear message, no traceback."""


class Failure(Exception):
    """The message says what failed and, where there is a log, how it ended."""
