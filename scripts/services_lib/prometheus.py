"""Prometheus with the configuration and the rules of etc/prometheus, or with those that a test names."""

import os
import shutil
import urllib.request
from pathlib import Path

from .service import Service

CONFIGURATION = Path(__file__).resolve().parent.parent.parent / "etc/prometheus/prometheus.yml"


class Prometheus(Service):
    """Scrapes what its configuration says; OXICORN_PROMETHEUS_CONFIG names another for its next start."""

    name = "prometheus"
    # Nothing that oxicorn needs: it watches.
    by_name_only = True

    def missing(self):
        return [name for name in ("prometheus", "promtool") if not shutil.which(name)]

    def spawn(self):
        configuration = Path(os.environ.get("OXICORN_PROMETHEUS_CONFIG") or CONFIGURATION).absolute()
        return self.launch([
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self.home / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port()}",
            "--log.level=warn",
        ])

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port()}/-/ready", timeout=2) as response:
                return response.status == 200
        except OSError:
            return False

    def exports(self):
        return {"PROMETHEUS_URL": f"http://127.0.0.1:{self.port()}"}
