"""A collector of OpenTelemetry, which receives OTLP over HTTP and keeps the spans.

    with Collector() as collector, Server(OXICORN, "app:application", env=collector.env) as server:
        server.get("/")
        span = until("a span", lambda: collector.spans)[0]
"""

import dataclasses
import gzip
import http.server
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


@dataclasses.dataclass
class Span:
    name: str
    kind: int
    trace: str
    parent: str
    attributes: dict
    # Attributes of the program that sent it, such as service.name.
    resource: dict
    # The name of the instrumentation that made it.
    scope: str
    # 0 unset, 1 ok, 2 error
    status: int
    events: list


class Collector:
    def __init__(self):
        self.spans, self.refused = [], []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def env(self):
        """The environment of a program that sends its spans here, with the variables of the OpenTelemetry specification."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
        }

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def _take(self, body):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += [_span(resource, scope, span) for span in scope.spans]

    def _handler(self):
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                wanted = (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
                if wanted:
                    collector._take(body)
                else:
                    collector.refused.append(f"{self.path} {self.headers['Content-Type']}")
                answer = ExportTraceServiceResponse().SerializeToString() if wanted else b""
                self.send_response(200 if wanted else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        return Handler


def _span(resource, scope, span):
    return Span(
        span.name, span.kind, span.trace_id.hex(), span.parent_span_id.hex(), _dict(span.attributes),
        _dict(resource.resource.attributes), scope.scope.name, span.status.code, [event.name for event in span.events],
    )


def _dict(attributes):
    return {item.key: _value(item.value) for item in attributes}


def _value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
