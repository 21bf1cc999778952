"""nginx and HAProxy as Debian has them, with the very files of etc/: only ports and paths are others."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

from instance import LONG, ROOT, free_ports, open_folder, until

# Around the file of etc/, as Debian's nginx.conf is around those of conf.d.
NGINX = """
daemon off;
worker_processes 2;
{user}
pid {folder}/pid;
error_log {folder}/log warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/oxicorn.conf;
}}
"""
# Where the three instances are, in each of the files.
PLACES = re.compile(r"(?<=server )(\w+ )?(127\.0\.0\.1:800[123]|unix[:@]/run/oxicorn-wsgi/app\.sock)(?= |;|$)", re.MULTILINE)


def shipped(path, changes):
    """The text of a file of etc/ after `changes`; whatever they change has to be in it."""
    text = (ROOT / "etc" / path).read_text()
    for old, new in changes.items():
        assert old in text, f"{path}: {old}"
        text = text.replace(old, new)
    return text


class Balancer:
    """In front of three instances."""

    def __init__(self, instances, port=None, changes=None):
        self.folder = open_folder("balancer")
        self.instances, self.port = instances, port or free_ports(1)[0]
        self.process = None
        text, places = shipped(self.file, {**self.changes(), **(changes or {})}), iter(instances)
        text, count = PLACES.subn(lambda found: (found[1] or "") + self.place(next(places)), text)
        assert count == len(instances), (count, text)
        (self.folder / "oxicorn.conf").write_text(text)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.callback(self.end)
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
            until(f"{self.file} is ready", self.ready, LONG)
            stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- {self.file}\n{self.log()}", file=sys.stderr)
        self.end()
        shutil.rmtree(self.folder)

    def end(self):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def ready(self):
        assert self.process.poll() is None, f"{self.file}: {self.log()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True

    def log(self):
        """The end of it."""
        return (self.folder / "log").read_text()[-5000:]

    def place(self, instance):
        return instance.address

    def hears_that(self, instance, state):
        """Waits until it knows that an instance is UP, or DOWN."""


class Nginx(Balancer):
    file = "nginx/oxicorn.conf"
    # Its idle connections are gone before an instance that stops lets go of them.
    closes_first = True

    def changes(self):
        return {"listen 80;": f"listen 127.0.0.1:{self.port};"}

    def command(self):
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(NGINX.format(folder=self.folder, user=user))
        return ["nginx", "-c", self.folder / "nginx.conf", "-e", self.folder / "log"]


class Haproxy(Balancer):
    file = "haproxy/haproxy.cfg"
    closes_first = False

    def changes(self):
        return {"bind :80\n": f"bind 127.0.0.1:{self.port}\n", **self.admin()}

    def admin(self):
        return {"/run/haproxy/admin.sock": f"{self.folder}/admin.sock"}

    def command(self):
        return ["haproxy", "-db", "-f", self.folder / "oxicorn.conf"]

    def place(self, instance):
        return instance.address.replace("unix:", "unix@")

    def ready(self):
        return super().ready() and all(self.state(instance) == "UP" for instance in self.instances)

    def hears_that(self, instance, state):
        until(f"HAProxy knows {instance.address} as {state}", lambda: self.state(instance) == state, LONG)

    def state(self, instance):
        # `UP 1/2` is one that is about to be.
        return [line.split(",")[17] for line in self.statistics()][self.instances.index(instance)]

    def statistics(self):
        """A line of values for each server."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.folder / "admin.sock"))
            client.sendall(b"show stat\n")
            text = client.makefile().read()
        return [line for line in text.splitlines() if line.startswith("oxicorn,") and ",BACKEND," not in line]


class HaproxyPassthrough(Haproxy):
    """Which has no statistics: what it passes on is asked instead."""

    file = "haproxy/proxy-protocol.cfg"

    def changes(self):
        # Statistics only for the test.
        socket_line = f"    maxconn 4000\n    stats socket {self.folder}/admin.sock mode 660 level admin\n"
        return {"bind :443\n": f"bind 127.0.0.1:{self.port}\n", "    maxconn 4000\n": socket_line}
