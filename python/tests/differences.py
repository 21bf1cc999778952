"""Where oxicorn answers otherwise than gunicorn, and why. Nothing else may differ, and what is listed here must.

case and fact are patterns; several cases between spaces. A value that is given is the value that was seen.
"""

import dataclasses

ANY = object()


@dataclasses.dataclass(frozen=True)
class Difference:
    case: str
    fact: str
    why: str
    gunicorn: object = ANY
    oxicorn: object = ANY


DIFFERENCES = [
]
