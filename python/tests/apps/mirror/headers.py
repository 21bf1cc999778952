"""Response fields, valid and invalid."""

from .fields import TEXT, exact


def answer(start_response, *headers):
    start_response("200 OK", exact(b"x") + list(headers))
    return [b"x"]


def header_repeated(environ, start_response):
    return answer(start_response, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("set-cookie", "c=3"))


def header_latin(environ, start_response):
    return answer(start_response, ("X-Latin", "caf\xe9"), ("X-Tab", "a\tb"), ("X-Spaces", "  around  "), ("X-Empty", ""))


def header_wide(environ, start_response):
    return answer(start_response, ("X-Wide", "\u20ac"))


def header_line_break(environ, start_response):
    return answer(start_response, ("X-Bad", "a\r\nX-Injected: 1"))


def header_newline(environ, start_response):
    return answer(start_response, ("X-Bad", "a\nX-Injected: 1"))


def header_return(environ, start_response):
    return answer(start_response, ("X-Bad", "a\rX-Injected: 1"))


def header_fold(environ, start_response):
    return answer(start_response, ("X-Bad", "a\r\n b"))


def header_nul(environ, start_response):
    return answer(start_response, ("X-Bad", "a\0b"))


def header_control(environ, start_response):
    return answer(start_response, ("X-Bad", "a\x01b"))


def header_delete(environ, start_response):
    return answer(start_response, ("X-Bad", "a\x7fb"))


def header_name_break(environ, start_response):
    return answer(start_response, ("X-Bad\r\nX-Injected", "1"))


def header_name_colon(environ, start_response):
    return answer(start_response, ("X-Bad:", "1"))


def header_name_space(environ, start_response):
    return answer(start_response, ("X Bad", "1"))


def header_name_empty(environ, start_response):
    return answer(start_response, ("", "1"))


def header_value_number(environ, start_response):
    return answer(start_response, ("X-Number", 1))


def header_value_bytes(environ, start_response):
    return answer(start_response, ("X-Bytes", b"1"))


def header_name_bytes(environ, start_response):
    return answer(start_response, (b"X-Bytes", "1"))


def header_tuple(environ, start_response):
    start_response("200 OK", tuple(exact(b"x")))
    return [b"x"]


def header_generator(environ, start_response):
    start_response("200 OK", (pair for pair in exact(b"x")))
    return [b"x"]


def header_triple(environ, start_response):
    return answer(start_response, ("X-Three", "1", "2"))


def header_hop_by_hop(environ, start_response):
    return answer(start_response, ("Keep-Alive", "timeout=1"), ("TE", "x"), ("Trailer", "X"), ("Proxy-Authenticate", "x"))


def header_connection_close(environ, start_response):
    return answer(start_response, ("Connection", "close"))


def header_connection_list(environ, start_response):
    return answer(start_response, ("Connection", "x, Close"))


def header_transfer_encoding(environ, start_response):
    start_response("200 OK", TEXT + [("Transfer-Encoding", "chunked")])
    return [b"x"]


def header_server(environ, start_response):
    return answer(start_response, ("Server", "mine"))


def header_date(environ, start_response):
    return answer(start_response, ("Date", "mine"))


def header_length_text(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "one")])
    return [b"x"]


def header_length_negative(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "-1")])
    return [b"x"]


def header_length_twice(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "1"), ("Content-Length", "1")])
    return [b"x"]
