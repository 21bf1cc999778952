"""Settings by their names, with the derived properties of gunicorn's configuration."""


class Setting:
    """An item of ``cfg.settings``."""

    def __init__(self, name, value):
        self.name = name
        self.value = value

    def get(self):
        """Return the value."""
        return self.value


class Values:
    """Settings as attributes, with the types of gunicorn's values."""

    def __init__(self, values):
        self.__dict__["settings"] = {name: Setting(name, value) for name, value in values.items()}

    def __getattr__(self, name):
        try:
            return self.__dict__["settings"][name].value
        except KeyError:
            raise AttributeError(f"there is no setting called {name}") from None

    def __str__(self):
        width = max(map(len, self.settings))
        return "\n".join(f"{name:{width}} = {setting.value}" for name, setting in sorted(self.settings.items()))

    @property
    def address(self):
        """The addresses that the server listens on: pairs of host and port, paths, and descriptors."""
        return [_address(text) for text in self.bind]

    @property
    def env(self):
        """The variables of ``raw_env``."""
        return dict(text.split("=", 1) for text in self.raw_env)

    @property
    def is_ssl(self):
        """Whether the server uses TLS."""
        return self.certfile or self.keyfile

    @property
    def uid(self):
        """The user of the workers."""
        return self.user

    @property
    def gid(self):
        """The group of the workers."""
        return self.group

    @property
    def worker_class_str(self):
        """What gunicorn calls the kind of worker."""
        return "gthread" if self.threads > 1 else self.worker_class


class Config(Values):
    """The settings of the running server, which cannot change."""

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} cannot be set any more: the server is already running")

    def set(self, name, value):
        """Refuse to change a setting."""
        setattr(self, name, value)


def _address(text):
    if text.startswith("unix:"):
        return text[len("unix:") :]
    if text.startswith("fd://"):
        return int(text[len("fd://") :])
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
