"""The server section of a PasteDeploy file, for ``pserve``:

    [server:main]
    use = egg:oxicorn#main
    host = 127.0.0.1
    port = 8000
    workers = 4
"""

import configparser

from ..config_file import default_file
from .wsgiapp import WSGIApplication


def serve(application, global_conf, **local_conf):
    """Serve ``application`` by the settings of its file, and end the program."""
    file = global_conf.get("__file__")
    config = local_conf.pop("config", None)
    host, port = local_conf.pop("host", ""), local_conf.pop("port", "")
    if host and port:
        local_conf["bind"] = f"{host}:{port}"
    elif host:
        local_conf["bind"] = host
    elif port:
        local_conf["bind"] = f"127.0.0.1:{port}"

    class PasterServer(WSGIApplication):
        def load_config(self):
            if file:
                self.cfg.set("proc_name", file)
                if _configures_logging(file):
                    self.cfg.set("logconfig", file)
            place = config or default_file(".")
            if place:
                self.load_config_from_file(place)
            for name, value in local_conf.items():
                self.cfg.set(name.lower(), value)

        def load(self):
            return application

    PasterServer().run()


def _configures_logging(file):
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(file)
    return parser.has_section("loggers")
