"""Where oxicorn does otherwise than gunicorn, and why. Nothing else may differ, and what is listed here must.

case and fact are patterns of the names that a failure shows; several are parted by ` | `. A value that is given is the
value that was seen. A pattern of cases speaks of those that have the fact.

Not compared at all: the page of a refusal with the fields that describe it, sentences of log lines, the texts of
exceptions that a server raises, and `Server`. They are each server's own.
"""

import dataclasses

ANY = object()


@dataclasses.dataclass(frozen=True)
class Difference:
    case: str
    fact: str
    why: str
    gunicorn: object = ANY
    oxicorn: object = ANY


def among(group, names):
    """Cases of one group, their names parted by commas."""
    return " | ".join(f"{group}/{name.strip()}" for name in names.split(","))


DIFFERENCES = [
    # The environ
    Difference(
        "environ/* | settings/*", "?.environ.gunicorn.socket",
        "The socket belongs to the event loop: an application that wrote to it would break the framing.",
        gunicorn="<object>", oxicorn="(absent)",
    ),
    Difference(
        "environ/*", "?.environ.wsgi.multithread",
        "One thread is no multithreading: gthread says so whatever `threads` is.", gunicorn=True, oxicorn=False,
    ),
    Difference(
        "environ/absolute form without path", "1.environ.PATH_INFO", "RFC 9110 section 4.2.3: an empty path is `/`.",
        gunicorn="", oxicorn="/",
    ),
    Difference(
        "hooks/preloaded", "the master's",
        "child_exit is called for the process that has preloaded the application too: what it has left goes by its pid.",
    ),
    Difference(
        "environ/absolute form*", "1.environ.HTTP_HOST", "RFC 9112 section 3.2.2: the host of the target replaces what the field says.",
    ),
    # Versions and connections
    Difference(
        "environ/http/1.0* | environ/absolute form 1.0 | bodies/echo 1.0 | bodies/expect continue 1.0 | responses/1.0 *", "1.status",
        "RFC 9112 section 2.3: a server answers with the highest version that it speaks of the request's major version.",
    ),
    Difference(
        "environ/connection close of several", "connection | 1.header.connection",
        "RFC 9112 section 9.6: `close` counts wherever it stands in the list.",
    ),
    Difference(
        among("responses", "header-connection-close, header-connection-list, head header-connection-close, 1.0 keep-alive header-connection-close"),
        "connection | 1.header.connection", "An application that asks for the end of the connection gets it.",
    ),
    Difference(
        "bodies/unread long", "connection", "A body that was left unread is read ahead by the event loop: the connection lives on.",
        gunicorn="closed", oxicorn="kept",
    ),
    # Request bodies
    Difference(
        "bodies/pieces | bodies/pieces chunked", "1.body | 1.header.content-length",
        "`readlines` stops at the hint, as files do; gunicorn reads to the end.",
    ),
    Difference(
        "bodies/expect continue, body at once", "?.*",
        "RFC 9110 section 10.1.1: no 100 where the body is there already.",
    ),
    Difference(
        "bodies/expect continue without body", "?.*", "RFC 9110 section 10.1.1: no 100 where there is no body.",
    ),
    Difference(
        "bodies/length cut", "?.*", "An application never sees half a body as if it were whole."
    ),
    Difference("bodies/chunked gzip", "1.*", "RFC 9112 section 6.1: a coding that the server does not decode is a 501."),
    Difference("bodies/chunked identity", "1.page", "RFC 9112 section 7: `identity` is no transfer coding any more: 501."),
    Difference(
        "bodies/chunked unknown coding", "1.page", "The reason phrase is that of the status.",
        gunicorn="501 Bad Request", oxicorn="501 Not Implemented",
    ),
    Difference(
        "bodies/chunked bare line feed | bodies/chunked huge size", "1.*",
        "A refusal is answered with its status; gunicorn closes without a word.",
    ),
    # Refusals
    Difference(
        among("refusals", "version 2.0, version 0.9, h2 preface"), "1.page",
        "RFC 9110 section 15.6.6: 505 is the status for a version that is not spoken.",
    ),
    Difference(
        "refusals/version 1.2", "1.* | connection", "No such version exists: 505; gunicorn answers in it.",
    ),
    Difference(
        among(
            "refusals", "no host, host empty, host with a path, host with a space, host with a word for a port, host with two ports, "
            "host with half an address",
        ), "1.*",
        "RFC 9112 section 3.2: a request without a valid Host is a 400.",
    ),
    Difference(
        among(
            "refusals", "fragment in the target, percent broken, characters to be encoded, absolute form without a host, "
            "absolute form with a user",
        ), "1.*",
        "RFC 3986 section 2 and RFC 9110 section 4.2: a target that no URI has is a 400.",
    ),
    Difference(
        "refusals/coding with parameters", "1.page", "RFC 9112 section 7: codings have no parameters.",
        gunicorn="501 Bad Request", oxicorn="400 Bad Request",
    ),
    Difference("refusals/connect", "1.*", "CONNECT is no request for an application: 501."),
    Difference("refusals/length huge", "1.*", "No number of octets: refused before the application is called."),
    Difference("refusals/line long", "1.*", "`limit_request_line` is 8190: RFC 9112 section 3 asks for 8000 at least."),
    Difference(
        "refusals/script name that is no prefix", "1.page", "The reason phrase is that of the status.",
        gunicorn="500 Bad Request", oxicorn="500 Internal Server Error",
    ),
    # Framing of responses
    Difference(
        among(
            "responses", "plain, several, empty, empty-piece, one-tuple, header-transfer-encoding, file-chunked, "
            "file-iterated, close plain, close empty, head plain, head several, head file-chunked, head header-transfer-encoding, "
            "head then get, 1.0 plain, 1.0 several, 1.0 empty, 1.0 file-chunked, 1.0 header-transfer-encoding, "
            "1.0 keep-alive plain, 1.0 keep-alive several, 1.0 keep-alive empty, 1.0 keep-alive file-chunked, "
            "1.0 keep-alive header-transfer-encoding",
        ) + " | bodies/pipelined gets",
        "?.framing | ?.header.content-length | ?.header.transfer-encoding | connection | 1.header.connection",
        "PEP 3333: a body that is whole when it begins (a list, a tuple, a file) is sent with its length. So HTTP/1.0 can be kept alive.",
    ),
    Difference(
        among("responses", "shorter, file-short, 1.0 shorter, 1.0 keep-alive shorter"), "1.answer | errors.levels | access.*",
        "Less than the announced length: the connection is closed and the log says why; gunicorn leaves the client waiting.",
    ),
    Difference(
        among("responses", "longer, longer-piece, closing-too-long"), "errors.levels",
        "More than the announced length is cut off by both; here the log says so.", gunicorn="(absent)", oxicorn=["WARNING"],
    ),
    Difference(
        among(
            "responses", "file-exact, file-chunked, file-offset, file-range, 1.0 file-exact, 1.0 file-chunked, "
            "1.0 keep-alive file-exact, 1.0 keep-alive file-chunked",
        ), "access.sizes", "What sendfile sends is counted.",
    ),
    Difference(
        "responses/status-only", "1.* | connection", "RFC 9112 section 4: a space follows the code, with or without a phrase.",
    ),
    Difference("responses/status-interim", "1.* | connection | access.* | errors.*", "1xx is no final answer: 500."),
    Difference("responses/header-length-twice", "1.* | connection", "Two equal lengths become one; gunicorn sends both."),
    Difference(
        "responses/header-length-negative", "1.* | connection | access.* | errors.*", "A length below nothing is the application's fault: 500.",
    ),
    Difference(
        "responses/header-hop-by-hop", "1.header.proxy-authenticate | 1.header.trailer",
        "RFC 9110 section 7.6.1: Trailer belongs to the connection, Proxy-Authenticate (section 11.7.1) to the application.",
    ),
    Difference(
        "responses/exc-info-before", "1.header.*",
        "PEP 3333: a second start_response with exc_info replaces the headers; gunicorn adds to them.",
    ),
    Difference(
        "responses/reset-with-body", "1.body | 1.header.content-length | access.sizes", "RFC 9110 section 15.3.6: 205 has no content.",
    ),
    Difference(
        "responses/upgrade-required", "1.header.upgrade | 1.header.connection", "RFC 9110 section 15.5.22: 426 says what to upgrade to.",
    ),
    # Applications that break the rules
    Difference(
        among("responses", "bytes-itself, text-not-bytes, written-text"), "1.* | access.* | errors.*",
        "A body that is no bytes is a 500 with a line in the log; gunicorn closes without a word.",
    ),
    Difference(
        among("responses", "fails-base, fails-stop, fails-exit"), "1.* | connection | access.* | errors.*",
        "Whatever an application raises costs its own request: a 500 and a traceback; gunicorn's worker dies.",
    ),
    Difference(
        among("responses", "returns-none, returns-number, never-started, never-started-empty"), "access.lines | access.sizes | errors.*",
        "One line a request in the access log, and a sentence in the error log in place of the server's own traceback.",
    ),
    Difference(
        among("responses", "exc-info-after, written-then-fails"), "access.*",
        "What was sent before the failure is in the access log.", gunicorn="(absent)",
    ),
    Difference(
        among(
            "responses", "header-wide, header-line-break, header-newline, header-return, header-fold, header-nul, header-control, "
            "header-delete, header-name-break, header-name-colon, header-name-space, header-name-empty, early-hints-bad",
        ), "errors.types", "A header that must not be sent raises ValueError in the application; gunicorn has types of its own.",
        oxicorn=["ValueError"],
    ),
    Difference("responses/close-fails", "connection", "The answer was whole: a close() that fails costs the client nothing."),
    Difference("responses/head fails", "1.* | connection", "An answer to HEAD has no body, a refusal neither."),
    Difference(
        "responses/head fails-generated", "connection | errors.*", "For HEAD nothing more is generated than the head needs.",
    ),
    # Settings
    Difference(
        "settings/sync/*", "1.header.connection | connection | 1.framing | 1.header.content-length | 1.header.transfer-encoding",
        "`sync` selects the threaded worker: connections are kept.",
    ),
    Difference(
        "settings/unix-socket", "1.header.connection | connection", "`sync` selects the threaded worker: connections are kept.",
    ),
    Difference(
        "settings/unconventional-version/*", "1.* | connection", "A version that is let through is answered in HTTP/1.1, not in a version that does not exist.",
    ),
    Difference(
        "settings/trusting-all/script name elsewhere | settings/script-name-variable/elsewhere", "1.page",
        "The reason phrase is that of the status.", gunicorn="500 Bad Request", oxicorn="500 Internal Server Error",
    ),
    Difference(
        "settings/root-path/*", "1.* | connection", "`root_path` is the SCRIPT_NAME of a WSGI application; gunicorn has it for ASGI alone.",
    ),
    Difference(
        "settings/proxy-protocol*/v? tcp? | settings/proxy-protocol/none on a second request", "?.environ.SERVER_NAME",
        "The address that the client connected to, as the proxy says; gunicorn shows the one that the proxy connected to.",
    ),
    Difference(
        "settings/proxy-protocol/none on a second request", "2.environ.*",
        "The proxy's word is for the whole connection; gunicorn forgets it after one request.",
    ),
    Difference(
        "settings/proxy-protocol/v1 unknown", "1.* | connection",
        "PROXY protocol, section 2.1: UNKNOWN is to be accepted, with the connection's own addresses.",
    ),
    Difference(
        "settings/proxy-protocol/v2 local", "1.environ.*",
        "PROXY protocol, section 2.2: LOCAL means the connection's own addresses; gunicorn shows None.",
    ),
    Difference(
        "settings/proxy-protocol/v2 broken", "1.page", "The fault is the client's: 400.",
        gunicorn="500 Internal Server Error", oxicorn="400 Bad Request",
    ),
    Difference("settings/timeout", "answered", "A request beyond `timeout` is told so: 504.", oxicorn=504),
    Difference("settings/tls", "plain text is answered", "A client that speaks plain HTTP to a TLS port is told so.", oxicorn=True),
    Difference(
        "outcomes/flags-from-the-environment", "umask", "`umask` holds in the workers.", oxicorn="27",
    ),
    Difference(
        "refusals/refused and logged", "access.lines | access.sizes",
        "A request that is refused has its line in the access log too.", gunicorn="(absent)",
    ),
    Difference("settings/unix-socket-under-a-umask", "umask", "`umask` holds in the workers.", oxicorn="7"),
    # Signals
    Difference("signals/ttin-then-hup", "workers after HUP and one TTIN", "TTIN survives HUP: two workers, and one more.", 2, 3),
    Difference(
        "signals/hup-with-a-broken-application | signals/hup-with-a-broken-config-file", "exit code | serves",
        "A reload that fails leaves the old workers serving; gunicorn exits.",
    ),
    Difference(
        "signals/hup-of-a-preloaded-application | guide/reload", "the application is loaded anew | loaded anew",
        "HUP loads preloaded code anew, too.", False, True,
    ),
    Difference(
        "signals/sigint-stops-now | signals/sigquit-stops-now", "answered",
        "A request that is cut off is not answered; gunicorn raises SystemExit in the application and answers 500.", gunicorn=500,
    ),
    # Logs
    Difference(
        "logs/atoms", "control | get", "What closes or swallows quotation marks, ends a line or commands a terminal is escaped.",
    ),
    Difference(
        "logs/atoms", "fails", "`U` and the answer's own headers and size are logged for a refusal too.",
    ),
    # Outcomes
    Difference(
        "outcomes/preload-missing-module | outcomes/preload-import-error | outcomes/preload-syntax-error | outcomes/preload-raises",
        "exit code", "No worker could boot: 3, preloaded or not.", 1, 3,
    ),
    Difference(
        "outcomes/preload-missing-attribute", "exit code | exceptions", "No such application: 4, preloaded or not.",
    ),
    Difference(
        "outcomes/unknown-flag | outcomes/bad-number | outcomes/bad-cmd-args", "exit code", "A bad setting is 1, wherever it stands.", 2, 1,
    ),
    Difference(
        "outcomes/config-module-missing", "exceptions", "The traceback says which import of the config module failed.", gunicorn=[],
    ),
    Difference(
        "outcomes/pid-file-of-a-living-process", "exit code",
        "A pid file is locked while its master lives: one that is left over blocks no start, whosever number it holds.", 1, "runs on",
    ),
    Difference(
        "outcomes/check-config | outcomes/check-config-file | outcomes/config-unknown-name", "says something",
        "A check that has found nothing says so.", gunicorn=False, oxicorn=True,
    ),
    Difference("outcomes/bad-log-level", "exit code", "An unknown level is a bad setting.", oxicorn=1),
    Difference("outcomes/exits-at-import", "exit code", "No worker could boot: 3; gunicorn forks another for ever.", oxicorn=3),
    Difference(
        "outcomes/bad-worker-class | outcomes/missing-certificate", "exceptions", "A sentence that names the setting, no traceback.", oxicorn=[],
    ),
    # Frameworks: a body that is whole has a length
    Difference("frameworks/django", "GET /redirect: fields", "PEP 3333: an empty body is sent with its length."),
]
