"""Kafka's jars: Maven fetches them once into a cache that all checkouts of this user share."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .failure import Failure
from .service import say

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
TRIES = 3

# slf4j-simple logs to standard error, and system properties configure it in the same way for both generations.
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>oxicorn</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    {dependencies}
  </dependencies>
</project>
"""
DEPENDENCY = """<dependency>
      <groupId>{group}</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>
      <exclusions>
        <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>
      </exclusions>
    </dependency>"""


class Jars:
    """One version of the broker and of its command-line tools."""

    def __init__(self, version):
        self._version = version
        self._folder = _cache() / f"kafka-{version}"

    def ready(self):
        """Whether the cache holds this version. A version is added completely or not at all."""
        return self._folder.is_dir()

    def classpath(self):
        """The argument of `java -cp`: every jar of the folder."""
        return f"{self._folder}/*"

    def fetch(self):
        """Fetches the jars unless the cache has them, and retries an interrupted download."""
        if self.ready():
            return
        say(f"fetching Kafka {self._version} into {self._folder}")
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, TRIES + 1):
            with tempfile.TemporaryDirectory(dir=self._folder.parent) as scratch:
                result = self._maven(Path(scratch))
                if result.returncode == 0:
                    self._adopt(Path(scratch) / "jars")
                    return
            if attempt < TRIES:
                say(f"Maven failed, attempt {attempt} of {TRIES}; trying again")
                time.sleep(attempt)
        tail = "\n".join(result.stdout.strip().splitlines()[-8:])
        raise Failure(f"Maven cannot fetch Kafka {self._version}:\n{tail}")

    def _maven(self, scratch):
        wanted = [
            ("org.apache.kafka", "kafka_2.13", self._version),
            ("org.apache.kafka", "kafka-tools", self._version),
            ("org.slf4j", "slf4j-simple", "1.7.36"),
        ]
        entries = (DEPENDENCY.format(group=group, artifact=name, version=version) for group, name, version in wanted)
        (scratch / "pom.xml").write_text(POM.format(dependencies="\n    ".join(entries)))
        options = [f"-DoutputDirectory={scratch}/jars", "-DincludeScope=runtime"]
        return subprocess.run(
            ["mvn", "-B", "-q", "--strict-checksums", PLUGIN, *options],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _adopt(self, fetched):
        try:
            fetched.rename(self._folder)
        except OSError:
            # Another command was faster, with the same jars.
            if not self.ready():
                raise
            shutil.rmtree(fetched)


def _cache():
    if chosen := os.environ.get("OXICORN_CACHE_DIR"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oxicorn"
