"""The requirements of PEP 3333 and the cases that it leaves open, with the real command."""

import ast
import os
import signal
import socket
import subprocess

import pytest

from harness import OXICORN, Server, processes
from harness.deadline import until
from harness.server import APPS, environment_of, program

FAULTS = [r"Error handling request", r"Content-Length", r"response body"]


@pytest.fixture(scope="module")
def lab():
    with Server(OXICORN, "wsgi_lab:application", "--threads", "2", expects=FAULTS) as server:
        yield server


def raw(server, target, fields="", method="GET", body=b"", version="1.1", read=True):
    """All bytes up to the end of the connection."""
    with socket.create_connection(server.address, 10) as client:
        head = f"{method} {target} HTTP/{version}\r\nHost: lab\r\nConnection: close\r\n{fields}"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"\r\n" + body)
        answer = b""
        while read and (piece := client.recv(1 << 16)):
            answer += piece
        return answer


def body_of(answer):
    return answer.partition(b"\r\n\r\n")[2]


def closes(server, name):
    return int(body_of(raw(server, f"/closed?{name}")))


def closed_once(server, name, before=0):
    until(f"{name} is closed", lambda: closes(server, name) > before)
    assert closes(server, name) == before + 1


def test_an_iterable_goes_in_chunks_and_is_closed_once(lab):
    answer = raw(lab, "/body?chunks")
    assert b"Transfer-Encoding: chunked\r\n" in answer
    assert body_of(answer) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    closed_once(lab, "chunks")


def test_an_old_client_gets_the_body_to_the_end_of_the_connection(lab):
    answer = raw(lab, "/body?old", version="1.0")
    assert b"chunked" not in answer and body_of(answer) == b"onetwo"
    closed_once(lab, "old")


@pytest.mark.parametrize("length, sent", [(10, b"1234567890"), (7, b"1234567"), (20, b"1234567890")])
def test_a_body_is_as_long_as_it_was_said_to_be(lab, length, sent):
    before = closes(lab, "sized")
    answer = raw(lab, f"/sized?{length}")
    assert f"Content-Length: {length}\r\n".encode() in answer
    assert body_of(answer) == sent
    closed_once(lab, "sized", before)
    story = lab.error_text()
    assert ("shorter" in story) if length == 20 else True
    assert ("longer" in story) if length == 7 else True


def test_a_connection_goes_on_after_a_body_of_the_right_length(lab):
    with lab.connect() as client:
        for _ in range(3):
            assert client.get("/sized?10").body == b"1234567890"


@pytest.mark.parametrize("status", ["204", "304"])
def test_some_statuses_have_no_body(lab, status):
    before = closes(lab, "none")
    answer = raw(lab, f"/none?{status}")
    assert answer.startswith(f"HTTP/1.1 {status} Nothing Here\r\n".encode())
    assert body_of(answer) == b"" and b"chunked" not in answer
    closed_once(lab, "none", before)


def test_not_modified_tells_the_length_that_the_application_tells(lab):
    assert b"Content-Length: 4\r\n" in raw(lab, "/unchanged?4")
    assert b"Content-Length" not in raw(lab, "/unchanged")


def test_head_has_no_body_and_closes(lab):
    assert body_of(raw(lab, "/body?head", method="HEAD")) == b""
    closed_once(lab, "head")
    before = closes(lab, "sized")
    answer = raw(lab, "/sized?10", method="HEAD")
    assert b"Content-Length: 10\r\n" in answer and body_of(answer) == b""
    closed_once(lab, "sized", before)


def test_an_exception_before_the_first_piece_is_a_500(lab):
    before = closes(lab, "fails_first")
    answer = raw(lab, "/fails_first")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert "RuntimeError: in the middle" in lab.error_text()
    closed_once(lab, "fails_first", before)


def test_an_exception_in_the_middle_ends_the_connection(lab):
    before = closes(lab, "fails")
    answer = raw(lab, "/fails")
    assert answer.startswith(b"HTTP/1.1 200 ") and body_of(answer) == b"5\r\nbegun\r\n"
    closed_once(lab, "fails", before)


def test_an_old_client_is_told_by_a_reset(lab):
    with pytest.raises(ConnectionResetError):
        raw(lab, "/fails", version="1.0")


def test_a_body_is_closed_when_its_client_goes(lab):
    raw(lab, "/endless", read=False)
    closed_once(lab, "endless")


def test_start_response_may_come_with_the_first_piece(lab):
    answer = raw(lab, "/late")
    assert answer.startswith(b"HTTP/1.1 202 Late\r\n") and b"X-Late: yes\r\n" in answer


def test_a_body_without_a_head_is_a_500(lab):
    assert raw(lab, "/never").startswith(b"HTTP/1.1 500 ")


def test_write_comes_before_what_is_returned(lab):
    before = closes(lab, "write")
    assert body_of(raw(lab, "/write")) == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"
    closed_once(lab, "write", before)


def test_an_exception_after_write_ends_the_connection(lab):
    assert body_of(raw(lab, "/write_fails")) == b"7\r\nwritten\r\n"
    assert "RuntimeError: after write" in lab.error_text()


def test_a_second_start_response_is_refused(lab):
    assert body_of(raw(lab, "/twice")) == b"refused"


def test_exc_info_replaces_a_head_that_has_not_left(lab):
    answer = raw(lab, "/exc_info")
    assert answer.startswith(b"HTTP/1.1 418 Teapot\r\n") and b"X-Second: 2\r\n" in answer
    assert b"X-First" not in answer
    assert body_of(raw(lab, "/exc_info_late")) == b"4\r\nsent\r\n"
    assert "KeyError: 'too late'" in lab.error_text()


@pytest.mark.parametrize("what", ["value", "nul", "name", "wide", "status", "short", "bytes", "length"])
def test_nothing_of_a_bad_head_is_sent(lab, what):
    answer = raw(lab, f"/bad?{what}")
    assert answer.startswith(b"HTTP/1.1 500 ") and b"Evil" not in answer and b"X-A" not in answer


def test_text_is_no_body(lab):
    assert raw(lab, "/text").startswith(b"HTTP/1.1 500 ")
    assert "only bytes may be" in lab.error_text()


def test_early_hints_come_first_and_not_to_old_clients(lab):
    answer = raw(lab, "/hints")
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-B: c\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert raw(lab, "/hints", version="1.0").startswith(b"HTTP/1.1 200 OK\r\n")


def test_callables_of_a_response_that_is_over_do_nothing():
    with Server(OXICORN, "wsgi_lab:application") as server, server.connect() as client:
        assert client.get("/kept").body == b""
        answer = client.get("/kept")
        assert answer.body == b"AssertionError,nothing" and answer.status == 200


@pytest.mark.parametrize("how, answer", [
    ("lines", b"one\n|two\n|three"),
    ("readlines", b"one\n|two\n|three"),
    ("mixed", b"one|\n|tw||o\nthree|"),
    ("blocks", b"13"),
])
def test_the_input_reads_like_a_file(lab, how, answer):
    assert body_of(raw(lab, f"/input?{how}", method="POST", body=b"one\ntwo\nthree")) == answer


def test_a_spooled_input_reads_the_same(lab):
    body = b"one\n" + b"x" * 100_000 + b"\nthree"
    got = body_of(raw(lab, "/input?lines", method="POST", body=body))
    assert got == b"one\n|" + b"x" * 100_000 + b"\n|three"


def test_a_file_is_sent_from_where_the_application_has_left_it(lab, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first line\n" + b"0123456789" * 100_000)
    answer = raw(lab, f"/file?{path}")
    assert b"Content-Length: 1000000\r\n" in answer and body_of(answer) == b"0123456789" * 100_000
    assert body_of(raw(lab, f"/file_part?{path}")) == b"firs"
    assert body_of(raw(lab, f"/file?{path}", method="HEAD")) == b""
    assert body_of(raw(lab, "/file_like", version="1.0")) == b"like a file"


def test_files_are_read_where_sendfile_is_off(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first line\nrest")
    with Server(OXICORN, "wsgi_lab:application", "--no-sendfile") as server:
        assert body_of(raw(server, f"/file?{path}", version="1.0")) == b"rest"


def test_what_an_application_prints_is_in_the_error_log(lab):
    raw(lab, "/errors")
    until("the line", lambda: "\na line of the application\n" in lab.error_text())


def test_long_bodies_need_no_memory(lab):
    lab.get("/ready")
    before = int(body_of(raw(lab, "/rss")))
    with socket.create_connection(lab.address, 30) as client:
        count = 1600
        client.sendall(f"POST /input?blocks HTTP/1.1\r\nHost: a\r\nContent-Length: {count << 16}\r\nConnection: close\r\n\r\n".encode())
        for _ in range(count):
            client.sendall(b"u" * (1 << 16))
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    assert body_of(answer) == str(count << 16).encode()
    for target in (f"/download?{count}", "/write_much"):
        with socket.create_connection(lab.address, 30) as client:
            client.sendall(f"GET {target} HTTP/1.0\r\n\r\n".encode())
            total = 0
            while piece := client.recv(1 << 20):
                total += len(piece)
        assert total > count << 16
    assert int(body_of(raw(lab, "/rss"))) - before < 24 << 20


def test_slow_clients_hold_no_thread(lab):
    clients = []
    for _ in range(10):
        client = socket.create_connection(lab.address, 10)
        client.sendall(b"GET /download?400 HTTP/1.1\r\nHost: a\r\n\r\n")
        clients.append(client)
    assert lab.get("/ready").body == b"ready"
    for client in clients:
        client.close()


def test_the_validator_finds_nothing():
    with Server(OXICORN, "wsgi_lab:validated") as server:
        assert body_of(raw(server, "/a%20b?c=d", method="POST", body=b"body", fields="Content-Type: text/plain\r\n")) == b"body"
        assert body_of(raw(server, "/")) == b""


def test_a_stuck_request_is_logged_with_its_python_stack():
    with Server(OXICORN, "wsgi_lab:application", "--timeout", "1", "--graceful-timeout", "2", expects=[r"timed out"]) as server:
        assert raw(server, "/sleep?600").startswith(b"HTTP/1.1 504 ")
        until("a stack", lambda: "in do_sleep" in server.error_text())


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_atexit_runs_at_the_end_of_a_worker(tmp_path, end):
    marker = tmp_path / "ended"
    with Server(OXICORN, "wsgi_lab:application", "--workers", "2", env={"LAB_ATEXIT": str(marker)}) as server:
        workers = server.workers()
        server.signal(end)
        server.wait_exit()
    ended = {int(name.name.rpartition(".")[2]) for name in tmp_path.glob("ended.*")}
    assert ended == set(workers)


@pytest.mark.parametrize("spec, answer", [
    ("wsgi_lab:Nested.Deeper.application", b"nested"),
    ('wsgi_lab:factory("ab", times=2)', b"abab"),
    ("wsgi_lab:factory('x')", b"x"),
])
def test_applications_are_found(spec, answer):
    with Server(OXICORN, spec) as server:
        assert body_of(raw(server, "/")) == answer


def test_the_module_alone_names_its_application():
    with Server(OXICORN, "wsgi_lab") as server:
        assert body_of(raw(server, "/ready")) == b"ready"


@pytest.mark.parametrize("spec, code, said", [
    ("no_such_module", 3, "ModuleNotFoundError"),
    ("broken_module:application", 3, "ZeroDivisionError"),
    ("wsgi_lab:no_such_name", 4, "no_such_name"),
    ("wsgi_lab:factory(open)", 4, "literals"),
    ("wsgi_lab:factory()", 4, "greeting"),
    ("wsgi_lab:closed", 4, "not callable"),
    ("wsgi_lab:1+1", 4, "neither"),
])
def test_what_cannot_be_loaded_ends_the_server(tmp_path, spec, code, said):
    (tmp_path / "broken_module.py").write_text("1 / 0\n")

    def run(*arguments):
        command = [*program(OXICORN), *arguments, spec]
        environment = environment_of({"PYTHONPATH": str(APPS)})
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)

    served = run("--bind", "127.0.0.1:0")
    assert served.returncode == code and said in served.stderr, served.stderr
    checked = run("--check-config")
    assert checked.returncode == 1 and said in checked.stderr, checked.stderr


def test_native_applications_run_too():
    with Server(OXICORN, "native:hello") as server:
        assert body_of(raw(server, "/")) == b"Hello, World!"


ENVIRON = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [repr({name: environ.get(name) for name in environ["QUERY_STRING"].split(",")}).encode()]
"""


def environ_of(server, names, fields, version="1.1"):
    with server.connect() as client:
        client.send(f"GET /?{names} HTTP/{version}\r\n{fields}Connection: close\r\n\r\n".encode("latin-1"))
        answer = client.answer()
    return ast.literal_eval(answer.text) if answer.status == 200 else answer.status


def test_a_unix_socket_has_the_name_and_the_port_of_a_host_that_is_one():
    with Server(OXICORN, "app:application", files={"app.py": ENVIRON}, bind="unix:{folder}/socket") as server:
        def named(host, version="1.1"):
            found = environ_of(server, "SERVER_NAME,SERVER_PORT", "" if host is None else f"Host: {host}\r\n", version)
            return (found["SERVER_NAME"], found["SERVER_PORT"]) if isinstance(found, dict) else found

        assert named("a") == named("a:") == ("a", "80")
        assert named("a.example:8080") == ("a.example", "8080")
        assert named("[::1]") == named("[::1]:") == ("[::1]", "80")
        assert named("[::1]:65535") == ("[::1]", "65535")
        assert named(None, "1.0") == named("", "1.0") == ("localhost", "80")
        for bad in ("a b", "x:y", "a:1:2", "[::1", "::1", ":80", "a:65536", "a:-1", "a/b", "b@a", "a%zz"):
            assert named(bad) == named(bad, "1.0") == 400, bad
        assert named("") == named(None) == 400


def cpu_seconds(pids):
    fields = [processes.stat(pid) for pid in pids]
    return sum(int(it[11]) + int(it[12]) for it in fields if it) / os.sysconf("SC_CLK_TCK")


def test_thousands_of_fields_of_one_name_are_joined_at_once():
    flags = ("--limit-request-fields", "32768", "--limit-request-head", "8388608", "--timeout", "60")
    with Server(OXICORN, "app:application", *flags, files={"app.py": ENVIRON}) as server:
        before = cpu_seconds(server.workers())
        # Joining again for each field would copy 30 GB.
        fields = "".join(f"{name}: {'1' * 200}\r\n" for name in ("a", "A", "b-c", "B-c") * 5000)
        found = environ_of(server, "HTTP_A,HTTP_B_C,HTTP_D", f"Host: a\r\nD: 1\r\n{fields}D: 2\r\n")
        joined = ",".join(["1" * 200] * 10000)
        assert found == {"HTTP_A": joined, "HTTP_B_C": joined, "HTTP_D": "1,2"}
        assert cpu_seconds(server.workers()) - before < 2
