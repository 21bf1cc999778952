"""The error log as records, without the parts that differ between runs."""

import dataclasses
import re

LINE = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] \[(\d+)\] \[([A-Z]+)\] ?(.*)")


@dataclasses.dataclass
class Line:
    level: str
    pid: int
    message: str
    # Lines without a head of their own: a traceback.
    more: list = dataclasses.field(default_factory=list)

    @property
    def exception(self):
        """The last line of a traceback: the exception itself."""
        return self.more[-1] if self.more and any(line.startswith("Traceback") for line in self.more) else None

    @property
    def frames(self):
        """Names of the functions in the traceback, outermost first."""
        return [found[1] for line in self.more if (found := re.search(r'^  File ".*", line \d+, in (\S+)', line))]


def lines(text):
    """Parses records. Text before the first one is a record without level."""
    found = []
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if match:
            found.append(Line(match[3], int(match[2]), match[4]))
        elif found:
            found[-1].more.append(line)
        elif line:
            found.append(Line("", 0, line))
    return found
