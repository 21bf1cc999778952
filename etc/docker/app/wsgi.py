"""What etc/docker/Dockerfile.wsgi serves if it is not told of an application."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Hello from a container!\n"]
