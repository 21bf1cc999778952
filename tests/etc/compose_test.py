#!/usr/bin/env python3
"""etc/compose.yaml: read by the loader of Docker Compose, and its balancer run over a name server whose answers change.

    cargo build --workspace --examples --bins && target/python/etc/bin/python -B tests/etc/compose_test.py
"""

import contextlib
import os
import re
import subprocess
import unittest

import yaml
from balancer import Haproxy
from go_program import go_program
from instance import BUILT, LONG, ROOT, Instance, free_ports, until
from load import Load
from name_server import NameServer

FILE = ROOT / "etc/compose.yaml"
# Interpolates, merges, and validates against the schema of the Compose Specification.
LOADER = ("github.com/compose-spec/compose-go/v2/cmd", "v2.1.6", "compose")
# What PostgreSQL keeps for the superuser: superuser_reserved_connections.
RESERVED = 3
# Of a replica, outside the pools: the runner that publishes, and one that surveys.
BESIDE_THE_POOLS = 2


def load(text=None):
    """The project as Compose sees it, or its complaint."""
    file = FILE
    if text is not None:
        file = FILE.with_name("compose-of-a-test.yaml")
        file.write_text(text)
    try:
        environment = {**os.environ, "COMPOSE_PROFILES": "*"}
        return subprocess.run([go_program(*LOADER), file], capture_output=True, text=True, check=False, env=environment)
    finally:
        if text is not None:
            file.unlink()


class Project(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        told = load()
        assert told.returncode == 0, told.stderr
        cls.services = yaml.safe_load(told.stdout)["services"]
        cls.balancer = (ROOT / "etc/haproxy/compose.cfg").read_text()

    def flag(self, name):
        (found,) = [it.partition("=")[2] for it in self.services["oxicorn"]["command"] if it.startswith(f"--{name}=")]
        return found

    def test_the_loader_finds_mistakes(self):
        text = FILE.read_text()
        for right, wrong in (("stop_grace_period", "stop_grace_time"), ("condition: service_healthy", "conditions: [service_healthy]")):
            with self.subTest(wrong):
                self.assertIn(right, text)
                self.assertNotEqual(load(text.replace(right, wrong)).returncode, 0)

    def test_what_is_mentioned_is_there(self):
        project = yaml.safe_load(FILE.read_text())
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertLessEqual(set(service.get("depends_on", ())), set(self.services))
                self.assertLessEqual({it["source"] for it in service.get("configs", ())}, set(project["configs"]))
                named = {it["source"] for it in service.get("volumes", ()) if it["type"] == "volume"}
                self.assertLessEqual(named, set(project["volumes"]))
        self.assertTrue((FILE.parent / project["configs"]["balancer"]["file"]).samefile(ROOT / "etc/haproxy/compose.cfg"))

    def test_a_service_that_is_scaled_has_nothing_that_there_is_only_one_of(self):
        scaled = self.services["oxicorn"]
        for single in ("ports", "container_name", "volumes", "network_mode"):
            self.assertNotIn(single, scaled)
        self.assertGreater(scaled["deploy"]["replicas"], 1)
        (published,) = self.services["balancer"]["ports"]
        self.assertEqual(int(re.search(r"bind :(\d+)", self.balancer)[1]), published["target"])
        self.assertEqual(self.services["balancer"]["configs"][0]["target"], "/usr/local/etc/haproxy/haproxy.cfg")
        self.assertTrue((ROOT / scaled["build"]["dockerfile"]).exists())
        hosts = [(port["host_ip"], port["published"]) for it in self.services.values() for port in it.get("ports", ())]
        self.assertEqual(len(hosts), len(set(hosts)))
        self.assertEqual({host for host, _ in hosts}, {"127.0.0.1"})

    def test_the_balancer_looks_for_the_service_by_its_name_and_port(self):
        most, name, port = re.search(r"server-template \S+ (\d+) (\S+):(\d+)", self.balancer).groups()
        self.assertIn(name, self.services)
        self.assertEqual(port, self.flag("bind").rpartition(":")[2])
        self.assertIn(f"uri {self.flag('health-path')} ", self.balancer)
        self.assertGreaterEqual(int(most), self.services["oxicorn"]["deploy"]["replicas"])

    def test_there_is_time_to_end(self):
        scaled = self.services["oxicorn"]
        seconds = int(re.fullmatch(r"(\d+)s", scaled["stop_grace_period"])[1])
        self.assertGreater(seconds, int(self.flag("drain-delay")) + 30)
        # It fails within one interval of the balancer's checks.
        self.assertGreater(int(self.flag("drain-delay")), 1 + 1)

    def test_the_connections_of_all_replicas_fit_into_the_database(self):
        scaled, most = self.services["oxicorn"], int(re.search(r"server-template \S+ (\d+) ", self.balancer)[1])
        pool = int(scaled["environment"]["POOL_SIZE"]) + int(scaled["environment"]["MAX_OVERFLOW"])
        runners = 1
        each = (int(self.flag("workers")) + runners) * pool + BESIDE_THE_POOLS
        (allowed,) = re.findall(r"max_connections=(\d+)", " ".join(self.services["postgres"]["command"]))
        self.assertLessEqual(most * each, int(allowed) - RESERVED)
        # No thread has to wait for a connection.
        self.assertGreaterEqual(pool, int(self.flag("threads")))

    def test_the_command_line_is_right(self):
        environment = {name: str(value) for name, value in self.services["oxicorn"]["environment"].items()}
        told = subprocess.run(
            [BUILT / "oxicorn", *self.services["oxicorn"]["command"], "--check-config"], env={**os.environ, **environment},
            capture_output=True, text=True, check=False,
        )
        self.assertEqual(told.returncode, 0, told.stdout + told.stderr)


class Scaled(Haproxy):
    """The balancer of the compose file; its name server is ours."""

    file = "haproxy/compose.cfg"

    def __init__(self, names, port):
        self.names, self.replica_port = names, port
        super().__init__([])

    def changes(self):
        statistics = f"    maxconn 4000\n    stats socket {self.folder}/admin.sock mode 660 level admin\n"
        return {
            "bind :5002": f"bind 127.0.0.1:{self.port}", "    maxconn 4000\n": statistics, "127.0.0.11:53": f"127.0.0.1:{self.names.port}",
            "20 oxicorn:5002": f"20 oxicorn:{self.replica_port}",
        }

    def ready(self):
        return super().ready() and self.up()

    def up(self):
        """The addresses of the replicas that get requests."""
        return {line.split(",")[73].rpartition(":")[0] for line in self.statistics() if line.split(",")[17] == "UP"}


class Scaling(unittest.TestCase):
    def test_replicas_come_and_go_and_no_client_notices(self):
        (port,) = free_ports(1)
        with contextlib.ExitStack() as stack:
            names = stack.enter_context(NameServer("oxicorn"))

            def replica(number):
                return stack.enter_context(Instance(host=f"127.0.7.{number}", port=port))

            def known(*replicas):
                """As Docker does it: what is in the DNS are the containers that run."""
                names.addresses = [it.address.partition(":")[0] for it in replicas]

            one = replica(1)
            known(one)
            front = stack.enter_context(Scaled(names, port))
            with Load(front.port, ("GET", "OPTIONS", "POST")) as load:
                load.until_served_by(one)
                # --scale oxicorn=3
                two, three = replica(2), replica(3)
                known(one, two, three)
                for added in (two, three):
                    load.until_served_by(added)
                # --scale oxicorn=1: they are told to end, and out of the DNS when they have.
                for removed in (three, two):
                    removed.tell_to_end()
                    address = removed.address.partition(":")[0]
                    until("no new requests", lambda address=address: address not in front.up(), LONG)
                    removed.drain()
                    known(*[it for it in (one, two) if it is not removed])
                    load.go_on()
                # One that is made anew has another address.
                four = replica(4)
                known(one, four)
                load.until_served_by(four)
                one.tell_to_end()
                until("the new one alone", lambda: front.up() == {"127.0.7.4"}, LONG)
                one.drain()
                known(four)
                load.go_on()


if __name__ == "__main__":
    unittest.main()
