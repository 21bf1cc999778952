"""Apache Kafka as one KRaft node, broker and controller in one process, in two generations.

4.0 dropped the oldest versions of the protocol (KIP-896), so clients are tested against the last 3.x and a 4.x.
"""

import base64
import os
import shutil
import socket
import struct
import uuid

from .jars import Jars
from .service import Service, address

CONFIGURATION = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{address}:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{address}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={logs}

num.partitions=3
auto.create.topics.enable=true
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed broker comes back only after its former session has run out: 3 s rather than 9.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Allows short sessions, so that a test need not wait long until a dead consumer is noticed.
group.min.session.timeout.ms=1000

# The default of 128 MiB is too large for a heap of 256 MiB.
log.cleaner.dedupe.buffer.size=8388608
"""

# A small heap, and a start that costs little processor time.
JVM = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]
LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    # They print every setting at each start.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients=warn",
]


class Kafka(Service):
    """A subclass names the version; its jars come from Maven Central through a cache."""

    port_names = ("port", "controller")
    version = ""
    prefix = ""

    def missing(self):
        needed = [] if shutil.which("java") else ["java"]
        if not self._jars().ready() and not shutil.which("mvn"):
            needed.append("mvn")
        return needed

    def fetch(self):
        self._jars().fetch()

    def prepare(self):
        settings = {"port": self.port(), "controller": self.port("controller"), "logs": self.home / "logs"}
        settings["address"] = address()
        # Later lines of the file override earlier ones.
        more = os.environ.get("OXICORN_KAFKA_SETTINGS", "")
        for place in ("port", "controller"):
            more = more.replace("{" + place + "}", str(settings[place]))
        self._properties().write_text(CONFIGURATION.format(**settings) + more + "\n")
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # With an equals sign, because an identity that begins with a hyphen would look like an option.
        words = ["format", f"--cluster-id={identity}", "--config", self._properties()]
        self.run([*self._java(), "kafka.tools.StorageTool", *words])

    def spawn(self):
        return self.launch([*self._java(), *LOGGING, "kafka.Kafka", self._properties()])

    def answers(self):
        """Whether the broker lists itself, which it does after its controller has admitted it."""
        try:
            with socket.create_connection((address(), self.port()), timeout=5) as connection:
                return _brokers(connection) > 0
        except (OSError, struct.error):
            return False

    def exports(self):
        brokers = f"{address()}:{self.port()}"
        return {f"{self.prefix}_BROKERS": brokers, f"{self.prefix}_JARS": self._jars().classpath()}

    def _properties(self):
        return self.home / "server.properties"

    def _java(self):
        return ["java", *JVM, "-cp", self._jars().classpath()]

    def _jars(self):
        return Jars(os.environ.get(f"OXICORN_{self.prefix}") or self.version)


class Kafka39(Kafka):
    """The last generation with the oldest versions of the protocol."""

    name = "kafka39"
    version = "3.9.2"
    prefix = "KAFKA_39"


class Kafka4(Kafka):
    """The current generation."""

    name = "kafka4"
    version = "4.3.1"
    prefix = "KAFKA_4"


def _brokers(connection):
    """Asks for metadata without topics, in version 4, which both generations support."""
    client = b"oxicorn"
    metadata, version, correlation = 3, 4, 1
    request = struct.pack(f">hhih{len(client)}sib", metadata, version, correlation, len(client), client, 0, 0)
    connection.sendall(struct.pack(">i", len(request)) + request)
    size = struct.unpack(">i", _exactly(connection, 4))[0]
    # Correlation id, throttle time, then the number of brokers.
    return struct.unpack(">iii", _exactly(connection, size)[:12])[2]


def _exactly(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("closed in the middle of an answer")
        data += part
    return data
