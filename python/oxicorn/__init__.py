"""oxicorn: a pre-forking application server for WSGI, in gunicorn's place."""

from ._oxicorn import __version__

__all__ = ["__version__"]
