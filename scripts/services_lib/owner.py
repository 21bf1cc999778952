"""The user of a server: PostgreSQL refuses to run as root, so root starts it as another user."""

import os
import pwd
import shutil
import subprocess


class Owner:
    """A system user that root can switch to."""

    def __init__(self, entry):
        self._uid = entry.pw_uid
        self._gid = entry.pw_gid

    @classmethod
    def unprivileged(cls):
        """`postgres` or `nobody` for root; `None` for any other user, who needs no switch."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                return cls(pwd.getpwnam(name))
            except KeyError:
                continue
        return None

    def switch(self):
        """Keyword arguments that make `subprocess` run as this user."""
        return {"user": self._uid, "group": self._gid, "extra_groups": []}

    def give(self, path):
        """Makes this user the owner of one file or folder."""
        shutil.chown(path, self._uid, self._gid)

    def reaches(self, path):
        """Whether this user may enter the folder; a folder above it may be closed."""
        return subprocess.run(["test", "-x", str(path)], **self.switch(), check=False).returncode == 0
