"""Statuses, valid and invalid, and those without a body."""

from .fields import TEXT, exact


def no_content(environ, start_response):
    start_response("204 No Content", [])
    return []


def no_content_with_body(environ, start_response):
    start_response("204 No Content", exact(b"body"))
    return [b"body"]


def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []


def not_modified_with_length(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"'), ("Content-Length", "4")])
    return [b"body"]


def reset_with_body(environ, start_response):
    start_response("205 Reset Content", exact(b"body"))
    return [b"body"]


def upgrade_required(environ, start_response):
    start_response("426 Upgrade Required", exact(b"x") + [("Upgrade", "TLS/1.3"), ("Connection", "upgrade")])
    return [b"x"]


def status_no_reason(environ, start_response):
    start_response("200 ", exact(b"x"))
    return [b"x"]


def status_only(environ, start_response):
    start_response("200", exact(b"x"))
    return [b"x"]


def status_odd(environ, start_response):
    start_response("299 Quite: All (right) \xe9", exact(b"x"))
    return [b"x"]


def status_teapot(environ, start_response):
    start_response("418 I'm a teapot", exact(b"x"))
    return [b"x"]


def status_two_digits(environ, start_response):
    start_response("20 OK", TEXT)
    return [b"x"]


def status_four_digits(environ, start_response):
    start_response("2000 OK", TEXT)
    return [b"x"]


def status_letters(environ, start_response):
    start_response("OK", TEXT)
    return [b"x"]


def status_number(environ, start_response):
    start_response(200, TEXT)
    return [b"x"]


def status_bytes(environ, start_response):
    start_response(b"200 OK", TEXT)
    return [b"x"]


def status_line_break(environ, start_response):
    start_response("200 OK\r\nX-Injected: 1", TEXT)
    return [b"x"]


def status_interim(environ, start_response):
    start_response("101 Switching Protocols", TEXT)
    return []
