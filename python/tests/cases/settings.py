"""Requests to servers with other settings: (flags, cases). The names of cases begin with the name of their group."""

from .case import get, post, raw

OTHERS = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"]
# PROXY protocol version 2: signature, version and command, family, length, addresses.
V2 = b"\r\n\r\n\0\r\nQUIT\n"
V2_TCP4 = V2 + b"\x21\x11\x00\x0c" + bytes([9, 8, 7, 6, 5, 4, 3, 2]) + b"\x12\x34\x00\x50"
V2_TCP6 = V2 + b"\x21\x21\x00\x24" + bytes(15) + b"\x07" + bytes(15) + b"\x08" + b"\x12\x34\x00\x50"
V2_LOCAL = V2 + b"\x20\x00\x00\x00"
GET = b"GET /path HTTP/1.1\r\nHost: a\r\n\r\n"

GROUPS = {
    "trusting-nobody": (["--forwarded-allow-ips", "10.9.8.7"], [
        get("https", "/", *OTHERS, status=200),
        get("script name", "/app/x", "SCRIPT_NAME: /app", status=200),
        get("underscore", "/", "X_Under: 1", status=200),
        get("contradiction", "/", "X-Forwarded-Proto: https", "X-Forwarded-Ssl: off", bodies=False),
    ]),
    "trusting-all": (["--forwarded-allow-ips", "*"], [
        get("https", "/", *OTHERS, status=200),
        get("script name", "/app/x", "SCRIPT_NAME: /app", status=200),
        get("script name elsewhere", "/x", "SCRIPT_NAME: /app", bodies=False),
        get("path info", "/app/x", "PATH_INFO: /y", status=200),
    ]),
    "trusting-a-network": (["--forwarded-allow-ips", "127.0.0.0/8"], [get("https", "/", *OTHERS, status=200)]),
    "header-map-dangerous": (["--header-map", "dangerous"], [
        get("underscore", "/", "X_Under: 1", "X-Under: 2", status=200),
        get("script name", "/app/x", "SCRIPT_NAME: /app", status=200),
    ]),
    "header-map-refuse": (["--header-map", "refuse"], [
        get("underscore", "/", "X_Under: 1", bodies=False),
        get("script name", "/app/x", "SCRIPT_NAME: /app", bodies=False),
        get("dash", "/", "X-Under: 1", status=200),
    ]),
    "forwarder-headers": (["--forwarder-headers", "REMOTE_USER,X_ID"], [
        get("remote user", "/", "Remote_User: someone", status=200),
        get("script name", "/app/x", "SCRIPT_NAME: /app", status=200),
        get("others", "/", "X_Id: 1", "X_Other: 2", status=200),
    ]),
    "casefold-method": (["--casefold-http-method"], [get("small", "/", method="get", bodies=False)]),
    "casefold-permitted-method": (["--casefold-http-method", "--permit-unconventional-http-method"], [
        get("small", "/", method="get", status=200),
    ]),
    "unconventional-method": (["--permit-unconventional-http-method"], [
        get("small", "/", method="get", bodies=False),
        get("short", "/", method="GE", bodies=False),
        get("odd", "/", method="G#T", bodies=False),
        get("long", "/", method="A" * 30, bodies=False),
    ]),
    "unconventional-version": (["--permit-unconventional-http-version"], [
        get("1.2", "/", version="1.2", bodies=False),
        get("2.0", "/", version="2.0", bodies=False),
        get("0.9", "/", version="0.9", bodies=False),
    ]),
    "header-spaces": (["--strip-header-spaces"], [get("before the colon", "/", "Foo : bar", status=200)]),
    "obsolete-folding": (["--permit-obsolete-folding"], [
        get("folded", "/", "Foo: a\r\n b", "Bar: c", status=200),
        get("folded with a tab", "/", "Foo: a\r\n\tb\r\n  c", status=200),
    ]),
    "limits": (
        ["--limit-request-line", "100", "--limit-request-fields", "5", "--limit-request-field_size", "50"],
        [
            get("line fits", "/" + "a" * 80, status=200),
            get("line too long", "/" + "a" * 100, bodies=False, status=414),
            get("fields fit", "/", "A: 1", "B: 2", "C: 3", "D: 4", status=200),
            get("fields too many", "/", "A: 1", "B: 2", "C: 3", "D: 4", "E: 5", bodies=False, status=431),
            get("field fits", "/", "A: " + "a" * 40, status=200),
            get("field too long", "/", "A: " + "a" * 60, bodies=False, status=431),
        ],
    ),
    "root-path": (["--root-path", "/root"], [get("below", "/root/x", status=200), get("elsewhere", "/x", bodies=False)]),
    "script-name-variable": (["--env", "SCRIPT_NAME=/app"], [get("below", "/app/x", status=200), get("elsewhere", "/x", bodies=False)]),
    "two-workers-two-threads": (["--workers", "2", "--threads", "2"], [get("environ", "/", status=200)]),
    "sync": (["--worker-class", "sync", "--threads", "1"], [
        get("environ", "/", status=200), post("echo", "/echo", b"abc", status=200), get("plain", "/plain", status=200),
    ]),
    "no-sendfile": (["--no-sendfile"], [get("file", "/file-exact", status=200)]),
    "proxy-protocol": (["--proxy-protocol=auto"], [
        raw("v1 tcp4", b"PROXY TCP4 9.8.7.6 5.4.3.2 4660 80\r\n" + GET, status=200),
        raw("v1 tcp6", b"PROXY TCP6 ::7 ::8 4660 80\r\n" + GET, status=200),
        raw("v1 unknown", b"PROXY UNKNOWN\r\n" + GET, bodies=False),
        raw("v1 broken", b"PROXY TCP4 9.8.7\r\n" + GET, bodies=False),
        raw("v1 bad port", b"PROXY TCP4 9.8.7.6 5.4.3.2 99999 80\r\n" + GET, bodies=False),
        raw("v1 bad address", b"PROXY TCP4 9.8.7.600 5.4.3.2 1 80\r\n" + GET, bodies=False),
        raw("v2 tcp4", V2_TCP4 + GET, status=200),
        raw("v2 tcp6", V2_TCP6 + GET, status=200),
        raw("v2 local", V2_LOCAL + GET, status=200),
        raw("v2 broken", V2 + b"\x31\x11\x00\x0c" + bytes(12) + GET, bodies=False),
        raw("none", GET, bodies=False),
        raw("none on a second request", b"PROXY TCP4 9.8.7.6 5.4.3.2 4660 80\r\n" + GET + GET, methods=("GET", "GET"), status=200),
    ]),
    "proxy-protocol-v1": (["--proxy-protocol=v1"], [
        raw("v1 tcp4", b"PROXY TCP4 9.8.7.6 5.4.3.2 4660 80\r\n" + GET, status=200),
        raw("v2 tcp4", V2_TCP4 + GET, bodies=False),
    ]),
    "proxy-protocol-from-others": (["--proxy-protocol=auto", "--proxy-allow-from", "10.9.8.7"], [
        raw("v1 tcp4", b"PROXY TCP4 9.8.7.6 5.4.3.2 4660 80\r\n" + GET, bodies=False),
        raw("none", GET, bodies=False),
    ]),
}
