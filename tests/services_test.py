#!/usr/bin/env python3
"""Runs scripts/services with the real servers, and asks each with its own client.

    python3 tests/services_test.py

The tests run in the order of their names on one set of servers, in a folder and with ports of their own.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

SERVICES = Path(__file__).resolve().parent.parent / "scripts" / "services"
NAMES = ("postgres", "redis", "kafka39", "kafka4")
KAFKA = {"kafka39": "KAFKA_39", "kafka4": "KAFKA_4"}


class Refused(Exception):
    """A command or a client failed; the message holds what it said."""


class ServicesTest(unittest.TestCase):
    """Up once for all, down whatever happens."""

    @classmethod
    def setUpClass(cls):
        cls.begun = time.monotonic()
        # Closed to other users, as a checkout in a home folder is.
        cls.root = Path(tempfile.mkdtemp(prefix="oxicorn-services-test-"))
        cls.folder = cls.root / "services"
        cls.environment = {**os.environ, "OXICORN_SERVICES_DIR": str(cls.folder)}
        try:
            run(SERVICES, "up", environment=cls.environment, seconds=900)
            cls.variables = exported(cls.environment)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        subprocess.run([SERVICES, "down"], env=cls.environment, timeout=120, check=False)
        shutil.rmtree(cls.root)
        print(f"services_test: {time.monotonic() - cls.begun:.1f} s")

    def test_10_up_again_changes_nothing(self):
        before = self.status()
        self.services("up")
        self.assertEqual(self.status(), before)
        self.assertEqual([line.split()[:2] for line in before.splitlines()], [[name, "running"] for name in NAMES])

    def test_11_every_variable_is_there(self):
        wanted = {"DATABASE_URL", "DATABASE_TLS_URL", "DATABASE_CA_FILE", "REDIS_URL", "KAFKA_BROKERS"}
        wanted |= {f"{prefix}_{what}" for prefix in KAFKA.values() for what in ("BROKERS", "JARS")}
        self.assertLessEqual(wanted, self.variables.keys())
        self.assertEqual(self.variables["KAFKA_BROKERS"], self.variables["KAFKA_4_BROKERS"])

    def test_20_postgres_is_safe_and_counts_statements(self):
        settings = ("fsync", "full_page_writes", "synchronous_commit", "max_connections")
        answers = [self.sql(f"SHOW {name}") for name in settings]
        self.assertEqual(answers, ["on", "on", "on", "100"])
        self.sql("SELECT 41 + 1")
        counted = "SELECT calls FROM pg_stat_statements WHERE query = 'SELECT $1 + $2'"
        self.assertEqual(self.sql(counted), "1")

    def test_21_postgres_speaks_tls_to_whoever_asks(self):
        encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        plain, tls = self.variables["DATABASE_URL"], self.variables["DATABASE_TLS_URL"]
        self.assertEqual(self.sql(encrypted, f"{plain}?sslmode=disable"), "f")
        self.assertEqual(self.sql(encrypted, tls), "t")
        checked = f"{plain}?sslmode=verify-full&sslrootcert={self.variables['DATABASE_CA_FILE']}"
        self.assertEqual(self.sql(encrypted, checked), "t")

    def test_22_redis_answers(self):
        self.assertEqual(self.redis("PING"), "PONG")
        self.assertEqual(self.redis("CONFIG", "GET", "save").splitlines(), ["save"])
        self.assertEqual(self.redis("-n", "4095", "SET", "last", "database"), "OK")

    def test_23_kafka_gives_back_what_was_produced(self):
        for name, prefix in KAFKA.items():
            with self.subTest(name):
                self.produce(prefix, "round-trip", "one\ntwo\n")
                self.assertEqual(sorted(self.consume(prefix, "round-trip", 2)), ["one", "two"])

    def test_30_a_paused_service_hangs_and_goes_on(self):
        self.services("pause", "postgres", "redis")
        self.assertEqual([self.states()[name] for name in NAMES], ["paused", "paused", "running", "running"])
        with self.assertRaises(subprocess.TimeoutExpired):
            self.redis("PING", seconds=1)
        with self.assertRaises(subprocess.TimeoutExpired):
            self.sql("SELECT 1", seconds=1)
        self.services("resume", "postgres", "redis")
        self.assertEqual(self.redis("PING"), "PONG")
        self.assertEqual(self.sql("SELECT 1"), "1")

    def test_31_a_killed_service_comes_back_with_its_data(self):
        self.sql("CREATE TABLE kept (value integer)")
        self.sql("INSERT INTO kept VALUES (7)")
        self.produce("KAFKA_4", "kept", "seven\n")
        self.services("kill", "postgres", "kafka4")
        self.assertEqual(self.states()["postgres"], "ended")
        self.assertEqual(self.states()["kafka4"], "ended")
        with self.assertRaises(Refused):
            self.sql("SELECT 1")
        self.services("start", "postgres", "kafka4")
        self.assertEqual(exported(self.environment), self.variables, "the address has changed")
        self.assertEqual(self.sql("SELECT value FROM kept"), "7")
        self.assertEqual(self.consume("KAFKA_4", "kept", 1), ["seven"])

    def test_32_stop_start_and_restart(self):
        self.services("stop", "redis", "kafka39")
        self.assertEqual((self.states()["redis"], self.states()["kafka39"]), ("ended", "ended"))
        with self.assertRaises(Refused):
            self.redis("PING")
        self.services("start", "redis", "kafka39")
        pids = self.status()
        self.services("restart", "redis", "postgres")
        self.assertNotEqual(self.status(), pids)
        self.assertEqual(set(self.states().values()), {"running"})
        self.assertEqual(self.redis("PING"), "PONG")

    def test_33_up_mends_what_is_down_or_hung(self):
        self.services("kill", "redis")
        self.services("pause", "postgres")
        self.services("up")
        self.assertEqual(set(self.states().values()), {"running"})

    def test_34_redis_keeps_what_it_is_told_to(self):
        self.redis("SET", "kept", "no")
        self.services("restart", "redis")
        self.assertEqual(self.redis("GET", "kept"), "")
        self.environment["OXICORN_REDIS_SAVE"] = "3600 1"
        self.services("restart", "redis")
        del self.environment["OXICORN_REDIS_SAVE"]
        self.redis("SET", "kept", "yes")
        self.services("restart", "redis")
        self.assertEqual(self.redis("GET", "kept"), "yes")
        self.assertEqual(self.redis("CONFIG", "GET", "save").splitlines(), ["save"])

    def test_40_mistakes_are_told_in_a_line(self):
        for words, told in (
            (["up", "mysql"], "'mysql' is no service"),
            (["stop"], "stop needs the name of a service"),
            (["env", "redis"], "env takes no name"),
        ):
            self.assertIn(told, self.refused(2, *words))
        foreign = self.root / "foreign"
        foreign.mkdir()
        (foreign / "letter").touch()
        for words in (["up", "redis"], ["down"]):
            self.assertIn("holds something else", self.refused(1, *words, folder=foreign))
            self.assertTrue((foreign / "letter").exists())

    def test_41_a_server_that_cannot_start_shows_its_log(self):
        self.services("stop", "postgres")
        configuration = Path(self.variables["DATABASE_CA_FILE"]).parent / "postgresql.conf"
        text = configuration.read_text()
        configuration.write_text(text + "port = nonsense\n")
        said = self.refused(1, "start", "postgres")
        configuration.write_text(text)
        self.assertIn("postgres ended before it answered", said)
        self.assertIn("nonsense", said)
        self.services("start", "postgres")

    def test_90_down_leaves_nothing(self):
        pids = [int(line.split()[3]) for line in self.status().splitlines()]
        homes = [Path(self.variables["DATABASE_CA_FILE"]).parent.parent]
        self.services("down", "redis")
        self.assertEqual(list(self.states()), ["postgres", "kafka39", "kafka4"])
        # A killed PostgreSQL leaves shared memory, which goes as well.
        self.services("kill", "postgres")
        segment = shared_memory(homes[0])
        self.assertIn(segment, run("ipcs", "-m").split())
        self.services("down")
        self.assertNotIn(segment, run("ipcs", "-m").split())
        self.assertEqual([pid for pid in pids if lives(pid)], [])
        self.assertEqual([path for path in (self.folder, *homes) if path.exists()], [])
        self.assertEqual(self.status(), "")
        self.assertEqual(exported(self.environment), {})
        self.services("down")
        self.assertFalse(self.folder.exists())

    # The commands and the clients.

    def services(self, *words):
        return run(SERVICES, *words, environment=self.environment, seconds=300)

    def refused(self, code, *words, folder=None):
        """What the command says on standard error when it fails with this exit code."""
        environment = {**self.environment, "OXICORN_SERVICES_DIR": str(folder or self.folder)}
        result = subprocess.run(
            [SERVICES, *words], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def status(self):
        return self.services("status")

    def states(self):
        return dict(line.split()[:2] for line in self.status().splitlines())

    def sql(self, statement, url=None, seconds=20):
        return run("psql", "-XAtqw", url or self.variables["DATABASE_URL"], "-c", statement, seconds=seconds).strip()

    def redis(self, *words, seconds=20):
        return run("redis-cli", "-u", self.variables["REDIS_URL"], *words, seconds=seconds).strip()

    def produce(self, prefix, topic, text):
        producer = "kafka.tools.ConsoleProducer" if prefix == "KAFKA_39" else "org.apache.kafka.tools.ConsoleProducer"
        self.kafka(prefix, producer, "--topic", topic, text=text)

    def consume(self, prefix, topic, messages):
        words = ["--topic", topic, "--from-beginning", "--max-messages", str(messages), "--timeout-ms", "30000"]
        return self.kafka(prefix, "org.apache.kafka.tools.consumer.ConsoleConsumer", *words).splitlines()

    def kafka(self, prefix, tool, *words, text=""):
        java = ["java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
        classes = ["-cp", self.variables[f"{prefix}_JARS"], tool]
        brokers = ["--bootstrap-server", self.variables[f"{prefix}_BROKERS"]]
        return run(*java, *classes, *brokers, *words, text=text, seconds=90)


def run(*words, environment=None, text="", seconds=60):
    """The command's standard output; a failure shows the rest as well."""
    command = [str(word) for word in words]
    result = subprocess.run(
        command, env=environment, input=text, capture_output=True, text=True, timeout=seconds, check=False
    )
    if result.returncode != 0:
        raise Refused(f"{command}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def exported(environment):
    """What a shell has after it has evaluated `scripts/services env`, of the variables that it names."""
    text = run(SERVICES, "env", environment=environment)
    names = re.findall(r"^export (\w+)=", text, re.MULTILINE)
    shown = run("sh", "-c", text + "".join(f'printf "%s\\n" "${name}"\n' for name in names))
    return dict(zip(names, shown.splitlines(), strict=True))


def shared_memory(home):
    return (home / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


if __name__ == "__main__":
    unittest.main(verbosity=2)
