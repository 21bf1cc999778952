"""Cases of the differential suite: what a client sends. gunicorn defines the expected result."""

from .case import Case, get, head, post, raw
from .observation import observe

__all__ = ["Case", "get", "head", "observe", "post", "raw"]
