"""The blocks of code in README, CONTRIBUTING and docs/, and what the comment above a block says about its test.

    <!-- run: SETUP -->         in this setup of docs_test.py; without a comment, in that of the page
    <!-- not run: REASON -->
    ```sh
    commands
    ```

A block `sh` has commands only. In a block `console` they begin with `$ `, and the other lines are what they print, where
`..` stands for anything. A block `log` has lines of the log, a block `promql` queries, one per line.
"""

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\S*)")
NOTE = re.compile(r"^ *<!-- (run|not run): (.*?) -->$")


@dataclasses.dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    # (`run` or `not run`, the rest of the comment)
    note: tuple = ("", "")

    def __str__(self):
        return f"{self.page}:{self.line}"

    def statements(self):
        """(command, lines that it prints) of a block of commands; a command may have several lines."""
        found = []
        for line in self.text.splitlines():
            begun = found and found[-1][0].endswith("\\\n")
            if begun:
                found[-1] = (found[-1][0] + line + ("\n" if line.endswith("\\") else ""), [])
            elif self.language == "console" and not line.startswith("$ "):
                found[-1][1].append(line)
            elif line.strip() and not line.lstrip().startswith("#"):
                line = line.removeprefix("$ ") if self.language == "console" else line
                found.append((line + ("\n" if line.endswith("\\") else ""), []))
        return found


def blocks(path):
    """All blocks of a page; an indented one has no language."""
    page, found, note = str(path.relative_to(ROOT)), [], ("", "")
    lines = iter(enumerate(path.read_text().splitlines(), 1))
    blank = True
    for number, line in lines:
        if fence := FENCE.match(line):
            indent, body = len(fence[1]), []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner[indent:])
            found.append(Block(page, number, fence[2] or "text", "\n".join(body), note))
        elif line.startswith("    ") and line.strip() and blank:
            found.append(Block(page, number, "", line[4:], note))
        elif line.startswith("    ") and found and not found[-1].language and not blank:
            found[-1].text += "\n" + line[4:]
        blank = not line.strip()
        seen = NOTE.match(line)
        note = seen.groups() if seen else note if blank else ("", "")
    return found


def every(*languages):
    return [block for path in PAGES for block in blocks(path) if block.language in languages]
