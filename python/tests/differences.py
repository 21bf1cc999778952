"""Where oxicorn differs from gunicorn, and why. Nothing else may differ, and every entry must.

`case` and `fact` are patterns of the names that a failure shows, separated by ` | `. A given value must be the value that was
seen. A pattern of cases applies to those that have the fact.

Not compared: the page of a refusal with its fields, the wording of log lines, the texts of exceptions that a server raises,
and `Server`.
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
    """Cases of one group, separated by commas."""
    return " | ".join(f"{group}/{name.strip()}" for name in names.split(","))


DIFFERENCES = [
    # The environ
    Difference(
        "environ/* | settings/*", "?.environ.gunicorn.socket",
        "The event loop owns the socket: an application that writes to it would break the framing.",
        gunicorn="<object>", oxicorn="(absent)",
    ),
    Difference(
        "environ/*", "?.environ.wsgi.multithread",
        "One thread is not multithreaded; gthread says True for any number of threads.", gunicorn=True, oxicorn=False,
    ),
    Difference(
        "environ/absolute form without path", "1.environ.PATH_INFO", "RFC 9110 section 4.2.3: an empty path is `/`.",
        gunicorn="", oxicorn="/",
    ),
    Difference(
        "hooks/preloaded", "the master's",
        "child_exit is also called for the process that preloaded the application, so that a hook can clean up by its pid.",
    ),
    Difference(
        "environ/absolute form*", "1.environ.HTTP_HOST", "RFC 9112 section 3.2.2: the host of the target replaces the field.",
    ),
    # The control socket
    Difference(
        "control/show", "workers | all.web_workers", "gunicorn's master does not learn that a worker has booted.",
    ),
    Difference("control/show", "config.worker_class", "The name of the setting; gunicorn shows the class.", oxicorn="gthread"),
    # Versions and connections
    Difference(
        "environ/http/1.0* | environ/absolute form 1.0 | bodies/echo 1.0 | bodies/expect continue 1.0 | responses/1.0 *", "1.status",
        "RFC 9112 section 2.3: a server answers with its highest minor version of the request's major version.",
    ),
    Difference(
        "environ/connection close of several", "connection | 1.header.connection",
        "RFC 9112 section 9.6: `close` counts at any position of the list.",
    ),
    Difference(
        among("responses", "header-connection-close, header-connection-list, head header-connection-close, 1.0 keep-alive header-connection-close"),
        "connection | 1.header.connection", "An application can close the connection with `Connection: close`.",
    ),
    Difference(
        "bodies/unread long", "connection", "The event loop reads a body that the application leaves unread, so the connection stays open.",
        gunicorn="closed", oxicorn="kept",
    ),
    # Request bodies
    Difference(
        "bodies/pieces | bodies/pieces chunked", "1.body | 1.header.content-length",
        "`readlines` stops at the hint, like that of a file; gunicorn reads to the end.",
    ),
    Difference(
        "bodies/expect continue, body at once", "?.*",
        "RFC 9110 section 10.1.1: no 100 if the body has already arrived.",
    ),
    Difference(
        "bodies/expect continue without body", "?.*", "RFC 9110 section 10.1.1: no 100 without a body.",
    ),
    Difference(
        "bodies/length cut", "?.*", "The application never gets a truncated body."
    ),
    Difference("bodies/chunked gzip", "1.*", "RFC 9112 section 6.1: a transfer coding that the server does not support is a 501."),
    Difference("bodies/chunked identity", "1.page", "RFC 9112 section 7: `identity` is not a transfer coding any more: 501."),
    Difference(
        "bodies/chunked unknown coding", "1.page", "The reason phrase matches the status.",
        gunicorn="501 Bad Request", oxicorn="501 Not Implemented",
    ),
    Difference(
        "bodies/chunked bare line feed | bodies/chunked huge size", "1.*",
        "A refusal has a response with its status; gunicorn closes without one.",
    ),
    # Refusals
    Difference(
        among("refusals", "version 2.0, version 0.9, h2 preface"), "1.page",
        "RFC 9110 section 15.6.6: 505 is the status for an unsupported version.",
    ),
    Difference(
        "refusals/version 1.2", "1.* | connection", "The version does not exist: 505; gunicorn answers with the same version.",
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
        "RFC 3986 section 2 and RFC 9110 section 4.2: a target that is not part of a URI is a 400.",
    ),
    Difference(
        "refusals/coding with parameters", "1.page", "RFC 9112 section 7: codings have no parameters.",
        gunicorn="501 Bad Request", oxicorn="400 Bad Request",
    ),
    Difference("refusals/connect", "1.*", "CONNECT is not for applications: 501."),
    Difference("refusals/length huge", "1.*", "The number is too large: refused before the application is called."),
    Difference("refusals/line long", "1.*", "`limit_request_line` is 8190: RFC 9112 section 3 asks for at least 8000."),
    Difference(
        "refusals/script name that is no prefix", "1.page", "The reason phrase matches the status.",
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
        "PEP 3333: a body of known length (a list, a tuple, a file) is sent with its length, so HTTP/1.0 can be kept alive.",
    ),
    Difference(
        among("responses", "shorter, file-short, 1.0 shorter, 1.0 keep-alive shorter"), "1.answer | errors.levels | access.*",
        "The body is shorter than announced: the connection is closed and the log says why; gunicorn leaves the client waiting.",
    ),
    Difference(
        among("responses", "longer, longer-piece, closing-too-long"), "errors.levels",
        "Both cut a body at the announced length; oxicorn logs it.", gunicorn="(absent)", oxicorn=["WARNING"],
    ),
    Difference(
        among(
            "responses", "file-exact, file-chunked, file-offset, file-range, 1.0 file-exact, 1.0 file-chunked, "
            "1.0 keep-alive file-exact, 1.0 keep-alive file-chunked",
        ), "access.sizes", "Octets sent by sendfile are counted.",
    ),
    Difference(
        "responses/status-only", "1.* | connection", "RFC 9112 section 4: a space follows the code, even without a phrase.",
    ),
    Difference("responses/status-interim", "1.* | connection | access.* | errors.*", "1xx is not a final response: 500."),
    Difference("responses/header-length-twice", "1.* | connection", "Two equal lengths are sent as one; gunicorn sends both."),
    Difference(
        "responses/header-length-negative", "1.* | connection | access.* | errors.*", "A negative length is an error of the application: 500.",
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
        "responses/upgrade-required", "1.header.upgrade | 1.header.connection", "RFC 9110 section 15.5.22: 426 needs the field Upgrade.",
    ),
    # Applications that break the rules
    Difference(
        among("responses", "bytes-itself, text-not-bytes, written-text"), "1.* | access.* | errors.*",
        "A body that is not bytes is a 500 with a line in the log; gunicorn closes without a response.",
    ),
    Difference(
        among("responses", "fails-base, fails-stop, fails-exit"), "1.* | connection | access.* | errors.*",
        "An exception of any kind fails only its own request, with a 500 and a traceback; gunicorn's worker dies.",
    ),
    Difference(
        among("responses", "returns-none, returns-number, never-started, never-started-empty"), "access.lines | access.sizes | errors.*",
        "One line per request in the access log, and a message in the error log instead of a traceback of the server.",
    ),
    Difference(
        among("responses", "exc-info-after, written-then-fails"), "access.*",
        "The access log has what was sent before the failure.", gunicorn="(absent)",
    ),
    Difference(
        among(
            "responses", "header-wide, header-line-break, header-newline, header-return, header-fold, header-nul, header-control, "
            "header-delete, header-name-break, header-name-colon, header-name-space, header-name-empty, early-hints-bad",
        ), "errors.types", "An invalid header raises ValueError in the application; gunicorn raises exceptions of its own.",
        oxicorn=["ValueError"],
    ),
    Difference("responses/close-fails", "connection", "The response was complete: a failing close() does not affect the client."),
    Difference("responses/head fails", "1.* | connection", "A response to HEAD has no body, and a refusal neither."),
    Difference(
        "responses/head fails-generated", "connection | errors.*", "For HEAD the iterable is not consumed beyond what the head needs.",
    ),
    # Settings
    Difference(
        "settings/sync/*", "1.header.connection | connection | 1.framing | 1.header.content-length | 1.header.transfer-encoding",
        "`sync` selects the threaded worker, which keeps connections.",
    ),
    Difference(
        "settings/unix-socket", "1.header.connection | connection", "`sync` selects the threaded worker, which keeps connections.",
    ),
    Difference(
        "settings/unconventional-version/*", "1.* | connection", "An allowed unconventional version is answered in HTTP/1.1, not in a version that does not exist.",
    ),
    Difference(
        "settings/trusting-all/script name elsewhere | settings/script-name-variable/elsewhere", "1.page",
        "The reason phrase matches the status.", gunicorn="500 Bad Request", oxicorn="500 Internal Server Error",
    ),
    Difference(
        "settings/root-path/*", "1.* | connection", "`root_path` is the SCRIPT_NAME of a WSGI application; gunicorn uses it for ASGI only.",
    ),
    Difference(
        "settings/proxy-protocol*/v? tcp? | settings/proxy-protocol/none on a second request", "?.environ.SERVER_NAME",
        "The address that the client connected to, from the proxy's header; gunicorn shows the one that the proxy connected to.",
    ),
    Difference(
        "settings/proxy-protocol/none on a second request", "2.environ.*",
        "The proxy's header applies to the whole connection; gunicorn forgets it after one request.",
    ),
    Difference(
        "settings/proxy-protocol/v1 unknown", "1.* | connection",
        "PROXY protocol, section 2.1: UNKNOWN is accepted, and the addresses are those of the socket.",
    ),
    Difference(
        "settings/proxy-protocol/v2 local", "1.environ.*",
        "PROXY protocol, section 2.2: LOCAL means the addresses of the socket; gunicorn shows None.",
    ),
    Difference(
        "settings/proxy-protocol/v2 broken", "1.page", "It is an error of the client: 400.",
        gunicorn="500 Internal Server Error", oxicorn="400 Bad Request",
    ),
    Difference("settings/timeout", "answered", "A request that exceeds `timeout` gets a 504.", oxicorn=504),
    Difference("settings/tls", "plain text is answered", "Plain HTTP on a TLS port gets a response that says so.", oxicorn=True),
    Difference(
        "exit-codes/flags-from-the-environment", "umask", "`umask` applies to the workers.", oxicorn="27",
    ),
    Difference(
        "refusals/refused and logged", "access.lines | access.sizes",
        "A refused request has a line in the access log.", gunicorn="(absent)",
    ),
    Difference("settings/unix-socket-under-a-umask", "umask", "`umask` applies to the workers.", oxicorn="7"),
    # Signals
    Difference("signals/ttin-then-hup", "workers after HUP and one TTIN", "TTIN survives HUP: two workers and one more.", 2, 3),
    Difference(
        "signals/hup-with-a-broken-application | signals/hup-with-a-broken-config-file", "exit code | serves",
        "A reload that fails leaves the old workers serving; gunicorn exits.",
    ),
    Difference(
        "signals/hup-of-a-preloaded-application | guide/reload", "the application is loaded again | loaded again",
        "HUP loads preloaded code again.", False, True,
    ),
    Difference(
        "signals/sigint-stops-now | signals/sigquit-stops-now", "answered",
        "A request that is cut off gets no response; gunicorn raises SystemExit in the application and answers 500.", gunicorn=500,
    ),
    # Logs
    Difference(
        "logs/atoms", "control | get", "Characters that close or escape quotation marks, break a line or control a terminal are escaped.",
    ),
    Difference(
        "logs/atoms", "fails", "`U` and the headers and size of the response are logged for a refusal too.",
    ),
    # Exit codes
    Difference(
        "exit-codes/preload-missing-module | exit-codes/preload-import-error | exit-codes/preload-syntax-error | exit-codes/preload-raises",
        "exit code", "No worker could boot: exit code 3, with or without preloading.", 1, 3,
    ),
    Difference(
        "exit-codes/preload-missing-attribute", "exit code | exceptions", "No such application: exit code 4, with or without preloading.",
    ),
    Difference(
        "exit-codes/unknown-flag | exit-codes/bad-number | exit-codes/bad-cmd-args", "exit code", "A bad setting is exit code 1, in every source.", 2, 1,
    ),
    Difference(
        "exit-codes/config-module-missing", "exceptions", "The traceback says which import of the config module failed.", gunicorn=[],
    ),
    Difference(
        "exit-codes/pid-file-of-a-living-process", "exit code",
        "A pid file is locked while its master lives, so a leftover one blocks no start, whatever number it holds.", 1, "runs on",
    ),
    Difference(
        "exit-codes/check-config | exit-codes/check-config-file | exit-codes/config-unknown-name", "says something",
        "A check without findings prints `ok`.", gunicorn=False, oxicorn=True,
    ),
    Difference("exit-codes/bad-log-level", "exit code", "An unknown level is a bad setting.", oxicorn=1),
    Difference("exit-codes/exits-at-import", "exit code", "No worker could boot: exit code 3; gunicorn forks workers for ever.", oxicorn=3),
    Difference(
        "exit-codes/bad-worker-class | exit-codes/missing-certificate", "exceptions", "A message that names the setting, without a traceback.", oxicorn=[],
    ),
    # Frameworks
    Difference("frameworks/django", "GET /redirect: fields", "PEP 3333: an empty body is sent with its length."),
]
