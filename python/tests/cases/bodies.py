"""How request bodies are framed, read or left unread, and whether the connection survives."""

from .case import get, post, raw

CHUNKED = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"

CASES = [
    post("echo", "/echo", b"12345", status=200),
    post("echo put", "/echo", b"12345", method="PUT", status=200),
    post("echo delete", "/echo", b"12345", method="DELETE", status=200),
    post("echo get", "/echo", b"12345", method="GET", status=200),
    post("echo nothing", "/echo", b"", status=200),
    post("echo binary", "/echo", bytes(range(256)), status=200),
    post("echo 1.0", "/echo", b"12345", version="1.0", status=200),
    post("echo long", "/echo", b"0123456789" * 30000, status=200),
    post("pieces", "/pieces", b"abcdefg\nhij\nklm\nnop\nqrs", status=200),
    post("pieces of nothing", "/pieces", b"", status=200),
    post("pieces without line ends", "/pieces", b"abcdefghijkl", status=200),
    post("pieces chunked", "/pieces", [b"abc", b"defg\nhi", b"j\nklm\nn", b"op\nqrs"], chunked=True, status=200),
    get("pieces without body", "/pieces", status=200),
    get("no body", "/echo", method="POST", status=200),
    post("chunked", "/echo", [b"one", b"two", b"three"], chunked=True, status=200),
    post("chunked nothing", "/echo", [], chunked=True, status=200),
    post("chunked long", "/echo", [b"0123456789" * 5000] * 6, chunked=True, status=200),
    post("chunked get", "/echo", [b"one"], chunked=True, method="GET", status=200),
    raw("chunked upper case size", CHUNKED + "\r\nA\r\n0123456789\r\n0\r\n\r\n", status=200),
    raw("chunked leading zeros", CHUNKED + "\r\n0003\r\nabc\r\n000\r\n\r\n", status=200),
    raw("chunked extension", CHUNKED + "\r\n3;a=b;c\r\nabc\r\n0;d\r\n\r\n", status=200),
    raw("chunked trailer", CHUNKED + "\r\n3\r\nabc\r\n0\r\nX-Trailer: 1\r\nX-More: 2\r\n\r\n", status=200),
    raw("chunked coding in capitals", CHUNKED.replace("chunked", "CHUNKED") + "\r\n3\r\nabc\r\n0\r\n\r\n", status=200),
    raw("chunked identity", CHUNKED.replace("chunked", "identity") + "Content-Length: 3\r\n\r\nabc", bodies=False),
    raw("chunked gzip", CHUNKED.replace("chunked", "gzip, chunked") + "\r\n3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked twice", CHUNKED.replace("chunked", "chunked, chunked") + "\r\n3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked not last", CHUNKED.replace("chunked", "chunked, gzip") + "\r\n3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked unknown coding", CHUNKED.replace("chunked", "br") + "\r\n3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked and length", CHUNKED + "Content-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked 1.0", CHUNKED.replace("1.1", "1.0") + "\r\n3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked bad size", CHUNKED + "\r\nxyz\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked prefixed size", CHUNKED + "\r\n0x3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked signed size", CHUNKED + "\r\n+3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked size with underscore", CHUNKED + "\r\n0_3\r\nabc\r\n0\r\n\r\n", bodies=False),
    raw("chunked no line end", CHUNKED + "\r\n3\r\nabcdef\r\n0\r\n\r\n", bodies=False),
    raw("chunked bare line feed", CHUNKED + "\r\n3\nabc\n0\n\n", bodies=False, finish=True),
    raw("chunked huge size", CHUNKED + "\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n", bodies=False, finish=True),
    raw("chunked cut", CHUNKED + "\r\n5\r\nab", bodies=False, finish=True),
    raw("length cut", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", bodies=False, finish=True),
    post("unread", "/unread", b"12345", status=200),
    post("unread long", "/unread", b"0123456789" * 20000, status=200),
    post("unread chunked", "/unread", [b"one", b"two"], chunked=True, status=200),
    post("unread, fails", "/fails", b"12345", bodies=False, status=500),
    raw("expect continue", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "abc", status=200),
    raw("expect continue in capitals", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n", "abc", status=200),
    raw("expect continue, body at once", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", status=200),
    raw("expect continue 1.0", "POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", status=200),
    raw("expect continue chunked", CHUNKED + "Expect: 100-continue\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", status=200),
    raw("expect continue unread", "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", "abc", status=200),
    raw("expect something", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: magic\r\n\r\nabc", bodies=False),
    get("expect continue without body", "/echo", "Expect: 100-continue", status=200),
    raw(
        "pipelined gets", "GET /plain HTTP/1.1\r\nHost: a\r\n\r\nGET /pid HTTP/1.1\r\nHost: a\r\n\r\n"
        "HEAD /plain HTTP/1.1\r\nHost: a\r\n\r\nGET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
        methods=("GET", "GET", "HEAD", "GET"), bodies=False, status=200,
    ),
    raw(
        "pipelined posts", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + CHUNKED
        + "\r\n3\r\ndef\r\n0\r\n\r\nPOST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nghi"
        "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n",
        methods=("POST", "POST", "POST", "GET"), status=200,
    ),
    raw(
        "pipelined after close", "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /plain HTTP/1.1\r\nHost: a\r\n\r\n",
        methods=("GET", "GET"),
    ),
]
