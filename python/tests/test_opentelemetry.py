"""OpenTelemetry in workers: by `opentelemetry-instrument`, and by hooks. A collector decodes the spans.

Exporters wait for an hour before they send, so spans arrive only because a worker sends them at its end.
"""

import os
import pathlib
import socket
import sys
from signal import SIGHUP, SIGTERM, SIGUSR2

import pytest

from harness import OXICORN, TIMEOUT, Server, processes, until
from harness.collector import Collector

FLASK = """
import os
import threading
from flask import Flask
from opentelemetry import trace

application = Flask(__name__)


@application.route("/ready")
def ready():
    return "ready"


@application.route("/threads")
def threads():
    return " ".join(sorted(thread.name for thread in threading.enumerate()))


@application.route("/users/<name>")
def user(name):
    trace.get_current_span().set_attribute("test.worker", os.getpid())
    return f"{os.getpid()} {os.getppid()}"


@application.route("/broken")
def broken():
    raise ValueError("broken")
"""

WSGI = """
import os
import threading
from opentelemetry import trace


def application(environ, start_response):
    trace.get_current_span().set_attribute("test.worker", os.getpid())
    if environ["PATH_INFO"] == "/broken":
        raise ValueError("broken")
    if environ["PATH_INFO"] == "/threads":
        text = " ".join(sorted(thread.name for thread in threading.enumerate()))
    else:
        text = f"{os.getpid()} ready"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""

# As in docs/monitoring.md.
HOOKS = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def post_fork(server, worker):
    provider = TracerProvider(resource=Resource.create({"service.instance.id": f"{worker.pid}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def post_worker_init(worker):
    worker.wsgi = OpenTelemetryMiddleware(worker.wsgi)
"""

EXPORTER = "OtelBatchSpanRecordProcessor"
SERVER, ERROR = 2, 2
TRACE, PARENT = "11112222333344445555666677778888", "1234123412341234"
TRACEPARENT = f"Traceparent: 00-{TRACE}-{PARENT}-01\r\n"
LATER = {"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_SERVICE_NAME": "shop"}
APPS = {"flask_app.py": FLASK, "wsgi_app.py": WSGI, "conf.py": HOOKS}
LIVES = {"own": (), "preloaded": ("--preload",), "threads": ("--threads", "4"), "reload": ("--reload",)}


INSTRUMENT = [str(pathlib.Path(sys.executable).parent / "opentelemetry-instrument")]


def instrumented(app, collector, *flags, more=None, **options):
    """`opentelemetry-instrument oxicorn ..`"""
    env = {**collector.env, **LATER, **(more or {})}
    return Server(OXICORN, app, "--workers", "2", *flags, files=APPS, env=env, under=INSTRUMENT, **options)


def hooked(app, collector, *flags, more=None, **options):
    """The hooks of docs/monitoring.md."""
    env = {**collector.env, **LATER, **(more or {})}
    return Server(OXICORN, app, "--workers", "2", "-c", "{folder}/conf.py", *flags, files=APPS, env=env, **options)


def by_both(server, target):
    """Asks until both workers have answered; the numbers of answers by pid."""
    answers = {}

    def asked():
        with server.connect() as client:
            pid = int(client.get(target, "Connection: close\r\n").text.split()[0])
        answers[pid] = answers.get(pid, 0) + 1
        return len(answers) == 2
    until("answers of both workers", asked)
    return answers


def spans(collector, **attributes):
    return [span for span in collector.spans if attributes.items() <= span.attributes.items()]


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("start, app", [(instrumented, "flask_app"), (hooked, "flask_app"), (hooked, "wsgi_app")])
def test_each_worker_sends_its_spans_at_the_latest_when_it_ends(start, app, life):
    with Collector() as collector:
        with start(f"{app}:application", collector, *LIVES[life]) as server:
            answers = by_both(server, "/users/ann")
            assert not spans(collector, **{"http.target": "/users/ann"})
            if life == "preloaded":
                assert "[WARNING]" not in server.error_text()
        workers = {}
        for span in spans(collector, **{"http.target": "/users/ann"}):
            pid = span.attributes["test.worker"]
            workers[pid] = workers.get(pid, 0) + 1
        assert workers == answers and not collector.refused


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("start", [instrumented, hooked])
def test_each_worker_has_an_exporter_of_its_own(start, life):
    with Collector() as collector, start("flask_app:application", collector, *LIVES[life]) as server:
        for _ in range(8):
            assert server.get("/threads").text.split().count(EXPORTER) == 1


def test_a_span_says_what_was_asked_and_answered():
    with Collector() as collector:
        with instrumented("flask_app:application", collector, expects=["broken"]) as server:
            server.get("/users/ann?x=1", TRACEPARENT + "User-Agent: tester\r\n")
            assert server.get("/broken").status == 500
            port = server.address[1]
        (span,) = spans(collector, **{"http.target": "/users/ann?x=1"})
        assert (span.name, span.kind, span.trace, span.parent) == ("GET /users/<name>", SERVER, TRACE, PARENT)
        assert span.scope == "opentelemetry.instrumentation.flask"
        wanted = {
            "http.method": "GET", "http.scheme": "http", "http.flavor": "1.1", "http.status_code": 200, "http.route": "/users/<name>",
            "http.host": "test", "net.host.port": port, "net.peer.ip": "127.0.0.1", "http.user_agent": "tester",
        }
        assert wanted.items() <= span.attributes.items(), span
        assert span.resource["service.name"] == "shop"
        (broken,) = spans(collector, **{"http.target": "/broken"})
        assert (broken.status, broken.attributes["http.status_code"], broken.events) == (ERROR, 500, ["exception"])


def test_a_span_of_the_middleware_says_the_same():
    with Collector() as collector:
        with hooked("wsgi_app:application", collector, expects=["broken"]) as server:
            server.get("/users/ann?x=1", TRACEPARENT)
            assert server.get("/broken").status == 500
        (span,) = spans(collector, **{"http.target": "/users/ann?x=1"})
        assert (span.kind, span.trace, span.parent) == (SERVER, TRACE, PARENT)
        assert span.scope == "opentelemetry.instrumentation.wsgi" and span.attributes["http.status_code"] == 200
        # The instance id names the worker.
        assert span.resource["service.instance.id"] == str(span.attributes["test.worker"])
        (broken,) = spans(collector, **{"http.target": "/broken"})
        assert broken.status == ERROR


@pytest.mark.parametrize("start", [instrumented, hooked])
def test_workers_of_a_reload_and_of_a_worker_that_was_replaced_send_too(start):
    with Collector() as collector:
        with start("flask_app:application", collector) as server:
            first = by_both(server, "/users/ann")
            server.signal(SIGHUP)
            until("other workers", lambda: len(server.workers()) == 2 and not set(server.workers()) & set(first))
            # They have sent their spans.
            until("the spans of the first", lambda: workers_of(collector) == set(first))
            second = by_both(server, "/users/ann")
            killed = next(iter(second))
            os.kill(killed, SIGTERM)
            until("the spans of one that was ended", lambda: killed in workers_of(collector))
        assert workers_of(collector) == set(first) | set(second)


def workers_of(collector):
    return {span.attributes["test.worker"] for span in spans(collector, **{"http.target": "/users/ann"})}


def test_a_successor_is_instrumented_as_well():
    with Collector() as collector:
        with instrumented("flask_app:application", collector, "--pid", "{folder}/pid") as server:
            server.signal(SIGUSR2)
            second = server.folder / "pid.2"
            successor = int(until("a second pid file", lambda: second.exists() and second.read_text().strip()))
            until("its answer", lambda: server.get("/users/ann").text.split()[1] == str(successor))
            server.signal(SIGTERM)
            assert server.wait_exit() == 0
            worker = int(server.get("/users/ann").text.split()[0])
            os.kill(successor, SIGTERM)
            until("its end", lambda: not processes.alive(successor))
        assert worker in workers_of(collector)


@pytest.mark.parametrize("start", [instrumented, hooked])
def test_a_collector_that_hangs_delays_no_request_and_the_end_only_for_its_timeout(start):
    with Collector() as unused, socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        soon = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "1"}
        # A worker that the master has to kill would be an error in the log.
        with start("flask_app:application", unused, more=soon) as server:
            by_both(server, "/users/ann")
            silent.settimeout(TIMEOUT)
            silent.accept()[0].close()
            by_both(server, "/users/ann")
