"""A WSGI application that reads bodies, sends large ones, waits or computes, by path."""

import time

MEGABYTE = b"x" * 1_000_000
PIECE = b"x" * 1000


def application(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)


def answer(start_response, body):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def upload(environ, start_response):
    return answer(start_response, b"%d" % len(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))


def download(environ, start_response):
    return answer(start_response, MEGABYTE)


def pieces(environ, start_response):
    """A generator of unknown length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (PIECE for _ in range(20))


def sleep(milliseconds):
    def wait(environ, start_response):
        time.sleep(milliseconds / 1e3)
        return answer(start_response, b"slept")

    return wait


def compute(milliseconds):
    def work(environ, start_response):
        # Time of this thread on a processor: the same amount of work however many share the machine.
        end = time.thread_time() + milliseconds / 1e3
        while time.thread_time() < end:
            pass
        return answer(start_response, b"computed")

    return work


PATHS = {
    "/": lambda environ, start_response: answer(start_response, b"ready"),
    "/upload": upload,
    "/download": download,
    "/pieces": pieces,
    "/sleep-5": sleep(5),
    "/sleep-50": sleep(50),
    "/compute-4": compute(4),
}
