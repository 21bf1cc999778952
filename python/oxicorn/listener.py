"""The sockets that the server listens on, for hooks that ask them something."""

import os
import socket


class Listener:
    """One of them, by its place among the addresses of the settings. It has the methods of a socket."""

    def __init__(self, addresses, place):
        self.cfg_addr = addresses[place]
        self._addresses = addresses
        self._place = place

    def fileno(self):
        """Return the number of the server's own descriptor in this process."""
        found = [(number, name) for number, name in _listening() if _fits(self.cfg_addr, name)]
        if not _is_any_port(self.cfg_addr):
            return _first(found, self)
        # The kernel's choice: none that another address names.
        named = [address for address in self._addresses if not _is_any_port(address)]
        found = [pair for pair in found if not any(_fits(address, pair[1]) for address in named)]
        before = sum(map(_is_any_port, self._addresses[: self._place]))
        return _first(found[before:] or found[-1:], self)

    @property
    def sock(self):
        """The socket; what this returns has a descriptor of its own."""
        return socket.socket(fileno=os.dup(self.fileno()))

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.sock, name)

    def __str__(self):
        return self.cfg_addr if isinstance(self.cfg_addr, str) else str(self.cfg_addr)


def _first(found, listener):
    if not found:
        raise OSError(f"this process does not listen at {listener}")
    return found[0][0]


def _listening():
    """Pairs of descriptor and name of the sockets of this process that listen."""
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(number)) as found:
                if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield number, found.getsockname()
        except OSError:
            # The descriptor of the listing itself.
            continue


def _is_any_port(address):
    return isinstance(address, tuple) and address[1] == 0


def _fits(address, name):
    if isinstance(address, int):
        return True
    if isinstance(address, str):
        return isinstance(name, (str, bytes)) and os.fsdecode(name) in (address, os.path.abspath(address))
    if not isinstance(name, tuple) or address[1] not in (0, name[1]):
        return False
    known = {info[4][0] for info in _looked_up(address)}
    return not known or name[0] in known


def _looked_up(address):
    try:
        return socket.getaddrinfo(address[0] or "0.0.0.0", address[1], type=socket.SOCK_STREAM)
    except OSError:
        return []
