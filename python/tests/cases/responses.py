"""Responses of the application, as the client and the logs see them."""

from .case import get, head, raw

# The functions of apps/mirror that answer a plain GET.
NORMAL = """
    plain several empty empty-piece one-tuple generated generated-late closing no-content
    no-content-with-body not-modified not-modified-with-length large large-chunked status-no-reason status-only status-odd
    status-teapot exc-info-before exc-info-first written written-exact header-repeated header-latin header-tuple
    header-generator header-hop-by-hop header-connection-close header-transfer-encoding header-server header-date
    header-length-twice early-hints early-hints-late file-exact file-chunked file-offset file-range file-empty
    file-without-fileno file-iterated file-wrapped errors shorter longer longer-piece file-short bytes-itself
    closing-too-long header-connection-list reset-with-body upgrade-required
""".split()
# Shorter than announced.
SHORT = ["shorter", "file-short", "fails-generated-exact"]
# Functions that break a rule or fail.
FAULTY = """
    text-not-bytes returns-none returns-number status-two-digits status-four-digits status-letters status-number
    status-bytes status-line-break status-interim start-twice never-started never-started-empty exc-info-after exc-info-generated
    written-text written-then-fails header-wide header-line-break header-newline header-return header-fold header-nul
    header-control header-delete header-name-break header-name-colon header-name-space header-name-empty header-value-number
    header-value-bytes header-name-bytes header-triple header-length-text header-length-negative fails fails-started
    fails-generated fails-generated-exact fails-chained fails-own-str early-hints-bad
    closing-breaks close-fails
""".split()
# Functions with a special response to HEAD or HTTP/1.0.
METHODS = """
    plain several empty generated closing no-content not-modified large large-chunked written written-exact
    header-repeated header-connection-close file-exact file-chunked shorter fails fails-generated early-hints
    closing-head header-transfer-encoding
""".split()

CASES = [
    *(get(name, f"/{name}", logs=True, hangs=name in SHORT) for name in NORMAL),
    # After those above, every close() was called once.
    get("closed", "/closed", status=200),
    *(get(name, f"/{name}", logs=True, hangs=name in SHORT) for name in FAULTY),
    get("closed after faults", "/closed", status=200),
    *(head(f"head {name}", f"/{name}", logs=True) for name in METHODS),
    *(get(f"1.0 {name}", f"/{name}", version="1.0", logs=True) for name in METHODS),
    *(
        get(f"1.0 keep-alive {name}", f"/{name}", "Connection: keep-alive", version="1.0", logs=True, hangs=name in SHORT)
        for name in METHODS
    ),
    *(get(f"close {name}", f"/{name}", "Connection: close") for name in ("plain", "empty", "closing", "large")),
    raw(
        "head then get", "HEAD /plain HTTP/1.1\r\nHost: a\r\n\r\nGET /plain HTTP/1.1\r\nHost: a\r\n\r\n",
        methods=("HEAD", "GET"),
    ),
    get("closed at last", "/closed", status=200),
    # These end gunicorn's worker.
    get("fails-base", "/fails-base", logs=True),
    get("fails-stop", "/fails-stop", logs=True),
    get("fails-exit", "/fails-exit", logs=True),
]
