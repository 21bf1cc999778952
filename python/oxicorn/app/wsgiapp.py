"""The ``oxicorn`` command as a class and as a function."""

from ..spec import load
from .base import Application


class WSGIApplication(Application):
    """The application that ``app_uri`` names, or the command line."""

    app_uri = None

    def load(self):
        """Import the application."""
        return load(self.app_uri or self.cfg.wsgi_app)


def run(prog=None):
    """Serve by the command line, and end the program."""
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog=prog).run()


if __name__ == "__main__":
    run()
