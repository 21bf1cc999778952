"""Settings by their names, with what gunicorn's configuration derives from them."""


class Setting:
    """One setting, as ``cfg.settings`` has them."""

    def __init__(self, name, value):
        self.name = name
        self.value = value

    def get(self):
        """Return the value."""
        return self.value


class Values:
    """Settings whose values are of gunicorn's types."""

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
        """Where the server listens: pairs of host and port, paths and descriptors."""
        return [_address(text) for text in self.bind]

    @property
    def env(self):
        """The variables of ``raw_env``."""
        return dict(text.split("=", 1) for text in self.raw_env)

    @property
    def is_ssl(self):
        """Whether there is a certificate."""
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
    """The settings that the server runs by."""

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} cannot be set any more: the server runs by its settings already")

    def set(self, name, value):
        """Refuse, as any other way to set something."""
        setattr(self, name, value)


def _address(text):
    if text.startswith("unix:"):
        return text[len("unix:") :]
    if text.startswith("fd://"):
        return int(text[len("fd://") :])
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
