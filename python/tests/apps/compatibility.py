"""Liberties that applications take and gunicorn allows."""


def application(environ, start_response):
    path = environ["PATH_INFO"]
    body = environ["wsgi.input"]
    done = {
        "/read": lambda: body.read(size=3),
        "/readline": lambda: body.readline(size=2),
        "/lists": lambda: b"lists",
    }.get(path, lambda: b"ready")()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(done)))]
    if path == "/lists":
        headers = [list(pair) for pair in headers]
    start_response("200 OK", headers)
    return [done]


async def asgi(scope, receive, send):
    """No WSGI application."""


class Asgi:
    """One more."""

    async def __call__(self, scope, receive, send):
        pass


class Asgi2:
    """An ASGI 2 application."""

    def __init__(self, scope):
        pass


def create_app():
    return application


def create_configured(name="default", debug=False):
    return application


class Class:
    """A class is a WSGI application if its constructor takes environ and start_response."""

    def __init__(self, environ, start_response):
        self.start_response = start_response

    def __iter__(self):
        self.start_response("200 OK", [("Content-Length", "5")])
        yield b"class"


instance = Asgi()
