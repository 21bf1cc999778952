"""SIGUSR2 to the wheel: the new master starts in the same way as the old one."""

import contextlib
import os
import socket
import subprocess
import sys
from signal import SIGKILL, SIGTERM, SIGUSR2

import pytest

from harness import OXICORN, Server, processes, until
from harness.server import environment_of, program

PROGRAM = """
import sys
import oxicorn.app.base
from lifecycle import application


class Standalone(oxicorn.app.base.BaseApplication):
    def load_config(self):
        self.cfg.set("bind", sys.argv[1])
        self.cfg.set("pidfile", sys.argv[2])

    def load(self):
        return application


if __name__ == "__main__":
    Standalone().run()
"""

PRE_EXEC = """
def pre_exec(server):
    if {raises}:
        raise ValueError("not today")
    with open({place!r}, "a") as file:
        print(server.pid, server.master_name, file=file)
"""


def successor_of(server):
    second = server.folder / "pid.2"
    server.signal(SIGUSR2)
    return int(until("a second pid file", lambda: second.exists() and second.read_text().strip()))


def upgraded(server):
    """Ends the old master when the new one serves, and returns the pid of the new one."""
    new = successor_of(server)
    until("its answer", lambda: server.get("/ppid").text == str(new))
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    until("the pid file", lambda: (server.folder / "pid").read_text() == f"{new}\n")
    return new


def end(pid):
    os.kill(pid, SIGTERM)
    until("its end", lambda: not processes.alive(pid))


@pytest.mark.parametrize("flags", [[], ["--preload"]], ids=["each", "preload"])
def test_the_command(flags):
    with Server(OXICORN, "lifecycle:application", *flags, "--workers", "2", "--pid", "{folder}/pid") as server:
        end(upgraded(server))


class Started:
    """A server that is started by another command."""

    def __init__(self, folder, command, env=None, descriptors=(), before=None):
        self.folder = folder
        self.output = open(folder / "output", "wb")
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment_of({"PYTHONPATH": str(folder), **(env or {})}), stdin=subprocess.DEVNULL,
            stdout=self.output, stderr=self.output, pass_fds=descriptors, preexec_fn=before, start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for pid in processes.of_session(self.process.pid):
            with contextlib.suppress(OSError):
                os.kill(pid, SIGKILL)
        self.process.wait()
        self.output.close()

    def text(self):
        return (self.folder / "output").read_text()

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self):
        return until("its end", lambda: self.process.poll() is not None and [self.process.returncode])[0]

    def get(self, path):
        """The body, from a unix socket in the folder."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(self.folder / "socket"))
            client.sendall(f"GET {path} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
            answer = b"".join(iter(lambda: client.recv(65536), b""))
            return answer.partition(b"\r\n\r\n")[2].decode()


def folder_with_an_app(tmp_path):
    app = os.path.join(os.path.dirname(__file__), "apps", "lifecycle.py")
    (tmp_path / "lifecycle.py").write_text(open(app).read())
    return tmp_path


def upgrade_of(server):
    """Like `upgraded`, for a server on a unix socket."""
    first = server.folder / "pid"
    until("it serves", lambda: first.exists() and (server.folder / "socket").exists() and server.get("/ppid"))
    new = successor_of(server)
    until("its answer", lambda: server.get("/ppid") == str(new))
    server.signal(SIGTERM)
    assert server.wait_exit() == 0
    until("the pid file", lambda: first.read_text() == f"{new}\n")
    assert server.get("/ppid") == str(new)
    end(new)
    assert not (server.folder / "socket").exists()


def test_the_module(tmp_path):
    folder = folder_with_an_app(tmp_path)
    command = [sys.executable, "-X", "dev", "-m", "oxicorn", "-b", "unix:socket", "-p", "pid", "lifecycle:application"]
    with Started(folder, command) as server:
        upgrade_of(server)


def test_a_program_with_an_application_of_its_own(tmp_path):
    folder = folder_with_an_app(tmp_path)
    (folder / "standalone.py").write_text(PROGRAM)
    with Started(folder, [sys.executable, "standalone.py", "unix:socket", "pid"]) as server:
        upgrade_of(server)


def test_sockets_of_systemd_go_on(tmp_path):
    folder = folder_with_an_app(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        given = listener.fileno()
        # The shell passes its own pid to the server, like systemd.
        command = ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *program(OXICORN), "-p", "pid", "lifecycle:application"]
        with Started(folder, command, descriptors=(3, given), before=lambda: os.dup2(given, 3)) as server:
            first = folder / "pid"
            until("it serves", lambda: first.exists() and first.read_text().strip() and server.get("/ppid"))
            new = successor_of(server)
            until("its answer", lambda: server.get("/ppid") == str(new))
            server.signal(SIGTERM)
            assert server.wait_exit() == 0
            assert server.get("/ppid") == str(new)
            end(new)
        # The server must not remove it.
        assert (folder / "socket").exists()


def test_pre_exec_is_called_in_the_process_to_be(tmp_path):
    place = str(tmp_path / "called")
    config = PRE_EXEC.format(raises=False, place=place)
    with Server(OXICORN, "lifecycle:application", "-c", "conf.py", "--pid", "{folder}/pid", files={"conf.py": config}) as server:
        end(successor_of(server))
        until("the word of the old one", lambda: "exited with code 0; this one serves on" in server.error_text())
        assert open(place).read() == f"{server.pid} Master\n"


def test_a_pre_exec_that_raises_leaves_the_server_as_it_is(tmp_path):
    config = PRE_EXEC.format(raises=True, place="")
    expects = ["The new master"]
    with Server(OXICORN, "lifecycle:application", "-c", "conf.py", files={"conf.py": config}, expects=expects) as server:
        workers = server.workers()
        server.signal(SIGUSR2)
        until("the end of it", lambda: "exited with code 1; this one serves on" in server.error_text())
        assert "ValueError: not today" in server.error_text()
        assert server.workers() == workers and server.get("/pid").status == 200


def test_variables_of_the_first_start_are_kept_and_those_of_raw_env_are_not(tmp_path):
    config = "import os\nraw_env = ['COLOUR=' + os.environ.get('COLOUR', 'red') + '.']\n"
    with Server(OXICORN, "lifecycle:application", "-c", "conf.py", "--pid", "{folder}/pid", files={"conf.py": config}) as server:
        assert server.get("/env/COLOUR").text == "red."
        new = upgraded(server)
        assert server.get("/env/COLOUR").text == "red."
        assert {server.get(f"/env/OXICORN_{name}").text for name in ("FD", "PID")} == {"(unset)"}
        end(new)
