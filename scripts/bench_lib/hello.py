"""The applications under measurement: `application` is bare WSGI, `flask()` makes the same in Flask."""

BODY = b"Hello, World!"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]


def flask():
    from flask import Flask

    app = Flask("hello")

    @app.get("/")
    def hello():
        return BODY, 200, {"Content-Type": "text/plain"}

    return app
