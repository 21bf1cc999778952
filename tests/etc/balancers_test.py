#!/usr/bin/env python3
"""etc/nginx and etc/haproxy: real ones, in front of three instances that are reloaded, upgraded, drained and killed under load.

    cargo build --workspace --examples --bins && python3 -B tests/etc/balancers_test.py
"""

import contextlib
import http.client
import re
import shutil
import ssl
import subprocess
import unittest

from balancer import Haproxy, HaproxyPassthrough, Nginx
from instance import BUILT, LONG, ROOT, Instance, open_folder, python_application, until
from load import Load

# Of the methods: repeated by HAProxy and nginx when an instance has gone without an answer, or by none.
SAFE, ANY = ("GET", "OPTIONS"), ("GET", "OPTIONS", "POST")
# No address of this machine's network: the client that the instances shall see.
CLIENT = "127.0.0.77"


@contextlib.contextmanager
def three(balancer, unix=(False, False, False), flags=(), program=None, **options):
    kinds = {"flags": flags, **({"program": program} if program else {})}
    with contextlib.ExitStack() as stack:
        instances = [stack.enter_context(Instance(kind, **kinds)) for kind in unix]
        yield stack.enter_context(balancer(instances, **options)), instances


class Served(unittest.TestCase):
    """Three instances, in the three ways to reach them."""

    def test_clients_notice_nothing_over_tcp(self):
        self.clients_notice_nothing((False, False, False))

    def test_clients_notice_nothing_over_unix_sockets(self):
        self.clients_notice_nothing((True, True, True))

    def test_clients_of_a_python_application_notice_nothing(self):
        self.clients_notice_nothing((False, False, True), python_application())

    def clients_notice_nothing(self, unix, program=None):
        for balancer in (Nginx, Haproxy):
            with self.subTest(balancer.file), three(balancer, unix, program=program) as (front, instances):
                reloaded, upgraded, drained = instances
                with Load(front.port, ANY) as load:
                    for instance in instances:
                        load.until_served_by(instance)
                    before = reloaded.workers()
                    reloaded.reload()
                    until("its new workers serve", lambda: load.served & (reloaded.workers() - before), LONG)
                    load.go_on()
                    # An instance is out of service before it closes a connection. nginx hears of it by a connection that is
                    # refused, and has closed its own idle ones.
                    drained.tell_to_end()
                    front.hears_that(drained, "DOWN")
                    load.go_on()
                    drained.drain()
                    load.go_on()
                    drained.start()
                    front.hears_that(drained, "UP")
                    load.until_served_by(drained)
                # An old master does not wait for a balancer, as its sockets are served: a POST on a connection that has been
                # idle for a second could meet its end.
                with Load(front.port, ANY if front.closes_first else SAFE) as load:
                    load.go_on()
                    before = upgraded.workers()
                    upgraded.upgrade()
                    until("the new master serves", lambda: load.served & (upgraded.workers() - before), LONG)
                    load.go_on()
                # What a killed instance has not answered, nobody but the client may repeat, unless that is safe.
                with Load(front.port, SAFE) as load:
                    load.until_served_by(reloaded)
                    reloaded.kill()
                    load.go_on(200)
                    front.hears_that(reloaded, "DOWN")
                    load.go_on()

    def test_the_files_are_right_as_they_are(self):
        for name in ("haproxy", "proxy-protocol"):
            told = subprocess.run(
                ["haproxy", "-c", "-f", ROOT / f"etc/haproxy/{name}.cfg"], capture_output=True, text=True, check=False,
            )
            self.assertEqual((told.returncode, told.stderr), (0, ""))

    def test_the_balancer_is_the_one_that_closes_idle_connections(self):
        # Sooner than it says; oxicorn's 75 s are what they are.
        sooner = {Nginx: {}, Haproxy: {"timeout http-keep-alive 60s": "timeout http-keep-alive 2s"}}
        for balancer, changes in sooner.items():
            with self.subTest(balancer.file), three(balancer, changes=changes) as (front, instances):
                with Load(front.port, SAFE, stay=True) as load:
                    for instance in instances:
                        load.until_served_by(instance)
                for instance in instances:
                    until("no idle connection", lambda instance=instance: instance.idle_connections() == 0, 60)
                load.leave()

    def test_the_times_of_the_files_do_not_race(self):
        keepalive = printed("keepalive")
        nginx, haproxy = (ROOT / "etc" / balancer.file for balancer in (Nginx, Haproxy))
        self.assertLess(float(re.search(r"^ +keepalive_timeout (\d+)ms;", nginx.read_text(), re.MULTILINE)[1]) / 1000, 1)
        self.assertLess(int(re.search(r"timeout http-keep-alive (\d+)s", haproxy.read_text())[1]), keepalive)
        for name, text in (("proxy_read_timeout", nginx.read_text()), ("timeout server", haproxy.read_text())):
            self.assertGreater(int(re.search(rf"^ +{name} (\d+)s", text, re.MULTILINE)[1]), printed("timeout"))


def printed(setting):
    """The default of a setting that is a number."""
    told = subprocess.run([BUILT / "oxicorn", "--print-config"], capture_output=True, text=True, check=True).stdout
    return int(re.search(rf"^{setting} += (\d+)", told, re.MULTILINE)[1])


class Forwarded(unittest.TestCase):
    """What an instance hears of the client."""

    def ask(self, port, path, **fields):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LONG, source_address=(CLIENT, 0))) as client:
            client.request("GET", path, headers={name.replace("_", "-"): value for name, value in fields.items()})
            response = client.getresponse()
            return response.read().decode().lower()

    def test_the_address_of_the_client_and_nothing_that_it_has_made_up(self):
        for balancer in (Nginx, Haproxy):
            for unix in ((False, False, False), (True, True, True)):
                with self.subTest(balancer.file, unix=unix[0]), three(balancer, unix, ("--request-id", "on")) as (front, _):
                    lies = {"X_Forwarded_For": "10.1.2.3", "X_Forwarded_Proto": "https", "X_Request_Id": "made-up"}
                    head = self.ask(front.port, "/head", **lies).splitlines()
                    self.assertEqual([line for line in head if line.startswith("x-forwarded-for=")], [f"x-forwarded-for={CLIENT}"])
                    self.assertEqual([line for line in head if line.startswith("x-forwarded-proto=")], ["x-forwarded-proto=http"])
                    (start,) = [line for line in head if line.startswith("x-request-start=")]
                    self.assertRegex(start, r"=t=\d{9,}(\.\d+)?$")
                    said = self.ask(front.port, "/origin", **lies)
                    self.assertIn("scheme http\n", said)
                    self.assertIn("trusted true", said)
                    (identity,) = {line.split("=")[1] for line in head if line.startswith("x-request-id=")}
                    self.assertGreaterEqual(len(identity), 32)

    def test_an_instance_believes_only_the_balancers_that_it_is_told_of(self):
        with three(Nginx, flags=("--forwarded-allow-ips", "10.9.9.9")) as (front, _):
            self.assertIn("trusted false", self.ask(front.port, "/origin"))

    def test_the_proxy_protocol_names_the_client_where_tls_ends_in_oxicorn(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(certificate())
            flags = ("--proxy-protocol", "v2", "--certfile", f"{folder}/cert.pem", "--keyfile", f"{folder}/key.pem")
            front, instances = stack.enter_context(three(HaproxyPassthrough, flags=flags))
            context = ssl.create_default_context(cafile=f"{folder}/cert.pem")

            def origin():
                client = http.client.HTTPSConnection(
                    "localhost", front.port, timeout=LONG, source_address=(CLIENT, 0), context=context,
                )
                with contextlib.closing(client):
                    client.request("GET", "/origin")
                    return client.getresponse().read().decode()

            for instance in instances:
                said = origin()
                self.assertRegex(said, rf"scheme https\npeer {CLIENT}:\d+\n")
                self.assertIn("proxied true", said)
                instance.reload()
            instances[0].tell_to_end()
            front.hears_that(instances[0], "DOWN")
            instances[0].drain()
            for _ in range(6):
                self.assertIn(CLIENT, origin())


@contextlib.contextmanager
def certificate():
    """A folder with cert.pem and key.pem of localhost."""
    folder = open_folder("tls")
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
            check=True, capture_output=True,
        )
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    unittest.main()
