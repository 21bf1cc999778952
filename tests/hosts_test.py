#!/usr/bin/env python3
"""Three hosts share PostgreSQL, Redis and Kafka and nothing else, and their clocks differ by hours. Under load they are upgraded,
reloaded and restarted one after the other, their clocks jump, and one of them is cut off and comes back.

    cargo build --workspace --examples --bins && python3 -B tests/hosts_test.py

No task is lost or done twice, a session is valid everywhere, and after a change all hosts answer alike. Hosts are network namespaces; where
the machine has none, they are addresses of the loopback interface, and none is cut off.
"""

import collections
import contextlib
import http.client
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

from client_threads import ClientThreads
from network_hosts import FAKETIME, LONG, SERVICES_ADDRESS, Host, enter
from prometheus_test import ROOT, until

APART = enter()
BASE = "/api/v1/eventstreammonitor"
CLOCKS = ("+61m", "-59m", "+7m")
CLIENTS = 3
# Tasks that have to be confirmed in each phase, beside what it does: so many that all hosts and runners have a part.
EACH_PHASE = 60
# Requests with one key that a rule lets through.
BURST = 10
# A row for each time that a task was completed.
AUDIT = """
CREATE TABLE done (task_id bigint);
CREATE FUNCTION note_done() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO done VALUES (NEW.task_id); RETURN NEW; END $$;
CREATE TRIGGER note_done AFTER UPDATE ON tasks FOR EACH ROW WHEN (NEW.status = 'completed') EXECUTE FUNCTION note_done();
"""


class Services:
    """PostgreSQL, Redis and Kafka of this test alone."""

    def __init__(self, folder):
        self.env = {**os.environ, "OXICORN_SERVICES_DIR": str(folder / "services")}
        if APART:
            self.env["OXICORN_SERVICES_ADDRESS"] = SERVICES_ADDRESS
        self.run("up", "postgres", "redis", "kafka4")
        self.variables = {
            name: value.strip("'") for name, value in re.findall(r"^export (\w+)=(.*)$", self.run("env"), re.MULTILINE)
        }

    def run(self, *words):
        command = [ROOT / "scripts/services", *words]
        return subprocess.run(command, env=self.env, stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout

    def sql(self, statement):
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.variables["DATABASE_URL"], "-c", statement]
        return subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True).stdout.strip()

    def events(self):
        """{task: [type of each event]} of the topic, so far."""
        java = ["java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", self.variables["KAFKA_4_JARS"]]
        words = ["--topic", "eventstreammonitor.tasks", "--from-beginning", "--timeout-ms", "10000"]
        command = [*java, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", self.variables["KAFKA_BROKERS"], *words]
        found = collections.defaultdict(list)
        for line in subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False).stdout.splitlines():
            event = json.loads(line)
            found[event["taskId"]].append(event["eventType"])
        return found


class TaskMakers(ClientThreads):
    """They make tasks, each at the next host. As a balancer does, they go on to another host if they cannot connect, and skip hosts that
    are cut off."""

    def __init__(self, hosts):
        super().__init__(CLIENTS, 2 * LONG)
        self.hosts, self.going = hosts, threading.Event()
        self.going.set()
        self.confirmed, self.unknown, self.failures = {}, [], []
        self.numbers = itertools.count(1)

    def run(self, number):
        for turn in itertools.count(number):
            host = self.hosts[turn % len(self.hosts)]
            # So many in all as a slow machine does as well.
            if self.done.wait(0.05):
                return
            if self.going.wait(0.05) and not host.is_cut:
                self.make_task(host)

    def make_task(self, host):
        mark = f"task-{next(self.numbers)}"
        try:
            status, answer = host.ask("POST", f"{BASE}/tasks", {"userId": mark, "parameters": {"numbers": [1, 2, 3]}})
        except ConnectionRefusedError:
            return
        except (OSError, http.client.HTTPException) as error:
            # What became of it is not known, as when a cable is pulled.
            (self.unknown if host.was_cut else self.failures).append(f"{mark} at host {host.number}: {error!r}")
            return
        if status == 201:
            self.confirmed[answer["task"]["taskId"]] = mark
        elif not host.was_cut:
            self.failures.append(f"{mark} at host {host.number}: {status} {answer}")

    def more(self):
        """Waits until enough further tasks are confirmed."""
        wanted = len(self.confirmed) + EACH_PHASE
        until("further tasks", lambda: len(self.confirmed) >= wanted or self.failures, LONG)

    @contextlib.contextmanager
    def paused(self):
        self.going.clear()
        yield
        self.going.set()


def matching(answered, wanted):
    """The answer, if it is the one that is wanted; an empty one counts too."""
    status, answer = answered
    return (answer or True) if status == wanted else None


@unittest.skipUnless(FAKETIME, "takes faketime, which scripts/install-deps gets")
class HostsTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="oxicorn-hosts-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        if not APART:
            print("hosts_test: no network namespaces here: three addresses of loopback, and no host is cut off", file=sys.stderr)
        self.services = Services(self.folder)
        self.addCleanup(self.services.run, "down")
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        names = ("DATABASE_URL", "REDIS_URL", "KAFKA_BROKERS")
        environment = {**kept, **{name: self.services.variables[name] for name in names}}
        limits = self.folder / "limits.conf"
        limits.write_text(f"key 1/h burst={BURST} by=header:X-Key\n")
        more = ["--rate-limits", limits, "--rate-limit-redis", self.services.variables["REDIS_URL"]]
        self.hosts = []
        for number, clock in enumerate(CLOCKS, 1):
            self.hosts.append(Host(number, self.folder, environment, clock, APART, more))
            self.addCleanup(self.hosts[-1].remove)
        for host in self.hosts:
            host.start()
        self.services.sql(AUDIT)
        self.sessions = []
        self.user = self.ask(self.hosts[0], 201, "POST", "/users", {"username": "anna", "email": "a@b.org"})["user"]["userId"]

    def ask(self, host, wanted, method, path, body=None):
        """The answer to a request that has to succeed: at once, or where a host has lost its connections, when it has new ones."""
        status, answer = host.ask(method, BASE + path, body)
        if host.was_cut and status != wanted:
            return until(f"{method} {path} at host {host.number}", lambda: matching(host.ask(method, BASE + path, body), wanted), LONG)
        self.assertEqual(status, wanted, f"{method} {path} at host {host.number}: {answer}")
        return answer

    def connected(self):
        return [host for host in self.hosts if not host.is_cut]

    def agree(self, what, changed_at, condition):
        """All hosts know what one has changed. What is lost between a host and Redis, the others learn a second later."""
        for other in self.connected():
            if changed_at.was_cut or other.was_cut:
                until(f"{what}, at host {other.number}", lambda other=other: condition(other), LONG)
            else:
                self.assertTrue(condition(other), f"{what}, at host {other.number}")

    def check_sessions(self):
        """What any host has made, refreshed or deleted, all others know at once."""
        def look(host, session):
            status, answer = host.ask("GET", f"{BASE}/sessions/{session}")
            return status, answer["session"]["data"] if status == 200 else None

        for host in self.connected():
            made = self.ask(host, 201, "POST", "/sessions", {"userId": self.user, "data": {"at": host.number}})
            self.sessions.append(made["session"]["sessionId"])
        for number, (session, host) in enumerate(zip(self.sessions, itertools.cycle(self.connected()))):
            self.agree(f"session {session} lives", host, lambda it, session=session: look(it, session)[0] == 200)
            new = {"number": number}
            self.ask(host, 200, "PUT", f"/sessions/{session}", {"data": new})
            self.agree(f"session {session} has {new}", host, lambda it, session=session, new=new: look(it, session) == (200, new))
        gone, host = self.sessions.pop(0), next(host for host in self.connected() if not host.was_cut)
        self.ask(host, 204, "DELETE", f"/sessions/{gone}")
        self.agree(f"session {gone} is over", host, lambda it: look(it, gone)[0] == 404)

    def check_caches(self, name):
        """A change is seen at once where it was made, and within a moment everywhere: others have copies."""
        for host in self.connected():
            for other in self.connected():
                self.ask(other, 200, "GET", f"/users/{self.user}")
            new = f"{name} at {host.number}"
            self.ask(host, 200, "PUT", f"/users/{self.user}", {"fullName": new})

            def seen(one, new=new):
                return self.ask(one, 200, "GET", f"/users/{self.user}")["user"]["fullName"] == new
            self.assertTrue(seen(host) or host.was_cut, f"{new}: not seen where it was made")
            for other in self.connected():
                until(f"{new}, at host {other.number}", lambda other=other: seen(other), LONG)

    def check_limits(self):
        """All hosts count the requests with a key together."""
        keys = itertools.count()

        def passed():
            fields = {"X-Key": f"key-{next(keys)}"}
            turns = itertools.islice(itertools.cycle(self.hosts), 3 * BURST)
            answers = [host.ask("GET", f"{BASE}/users/{self.user}", fields=fields)[0] for host in turns]
            self.assertLessEqual(set(answers), {200, 429})
            return answers.count(200)
        # A host counts alone for a while where Redis is slow to answer.
        until("as many requests as one host would let through", lambda: passed() == BURST, LONG)

    def phase(self, name, load, *steps):
        """Each step for each host in turn, then load and checks."""
        for host, step in itertools.product(self.connected(), steps):
            step(host)
        load.more()
        self.check_sessions()
        self.check_caches(name)
        self.assertEqual(load.failures, [], name)

    def left(self):
        """Tasks that are not done, and events that are not published."""
        return int(self.services.sql("SELECT (SELECT count(*) FROM tasks WHERE status <> 'completed') + (SELECT count(*) FROM events)"))

    def wait_until_drained(self, what):
        """However many there are: as long as they become fewer."""
        while (before := self.left()) > 0:
            try:
                until(f"{what}: fewer than {before}", lambda: self.left() < before, LONG)
            except AssertionError as late:
                tasks = self.services.sql("SELECT status, count(*), min(task_id) FROM tasks WHERE status <> 'completed' GROUP BY status")
                raise AssertionError(f"{late}; tasks: {tasks!r}, the rest are events") from None

    def relaying_host(self):
        """The one whose connection has the turn to publish."""
        address = until("a relay", lambda: self.services.sql(
            "SELECT host(client_addr) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted LIMIT 1"
        ), LONG)
        return next(host for host in self.hosts if host.address == address)

    def test_no_task_is_lost_or_done_twice(self):
        with TaskMakers(self.hosts) as load:
            self.phase("at rest", load)
            self.check_limits()
            self.phase("upgraded", load, Host.upgrade)
            self.phase("reloaded", load, Host.reload)
            self.phase("restarted", load, Host.stop, Host.start)
            # Not far ahead: libfaketime leaves out cnd_timedwait(3) of librdkafka, which waits for so much longer then.
            for host, clock in zip(self.hosts, ("-2h", "+15", "+0")):
                host.set_clock(clock)
            self.phase("with other clocks", load)
            if APART:
                self.cut_off(load)
        self.wait_until_drained("all tasks are done and all events published")
        self.check_tasks(load)
        for host in self.hosts:
            if not host.was_cut:
                self.assertEqual(host.errors(), [], f"host {host.number}")
            host.stop()

    def cut_off(self, load):
        """The host that publishes is gone, with its connections open at PostgreSQL, and whatever its runner was doing."""
        lost = self.relaying_host()
        lost.cut_off()
        self.phase("without a host", load)
        with load.paused():
            self.wait_until_drained("the others do and publish everything")
        self.ask(self.connected()[0], 200, "PUT", f"/users/{self.user}", {"fullName": "changed meanwhile"})
        lost.reconnect()
        until("it is back", lost.is_ready, LONG)

        def knows():
            status, answer = lost.ask("GET", f"{BASE}/users/{self.user}")
            return status == 200 and answer["user"]["fullName"] == "changed meanwhile"
        until("it knows what was changed meanwhile", knows, LONG)
        self.phase("with all hosts again", load)

    def check_tasks(self, load):
        wrong = self.services.sql("SELECT task_id FROM done GROUP BY task_id HAVING count(*) > 1")
        self.assertEqual(wrong, "", "done twice")
        made = self.services.sql("SELECT task_id || ' ' || (user_id::json #>> '{}') FROM tasks").splitlines()
        marks = {int(task): mark for task, mark in map(str.split, made)}
        self.assertEqual({task: marks.get(task) for task in load.confirmed}, load.confirmed, "confirmed, and lost")
        twice = [mark for mark, count in collections.Counter(marks.values()).items() if count > 1]
        self.assertEqual(twice, [], "made twice")
        wanted = {"task_created", "task_completed"}

        def missing():
            events = self.services.events()
            return [(task, events[task]) for task in load.confirmed if set(events[task]) != wanted]
        # A consumer that starts slowly may find nothing yet.
        until("the events of all tasks", lambda: not missing(), LONG)
        print(f"hosts_test: {len(load.confirmed)} tasks, {len(load.unknown)} with an unknown outcome", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
