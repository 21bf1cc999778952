"""The listening sockets of the server, as hooks see them."""

import os
import socket


class Listener:
    """A listening socket, by its index in the addresses of the settings. It has the methods of a socket."""

    def __init__(self, addresses, place):
        self.cfg_addr = addresses[place]
        self._addresses = addresses
        self._place = place

    def fileno(self):
        """Return the server's own descriptor in this process."""
        found = [(number, name) for number, name in _listening() if _fits(self.cfg_addr, name)]
        if not _is_any_port(self.cfg_addr):
            return _first(found, self)
        # Port 0, chosen by the kernel: skip the ports that other addresses name.
        named = [address for address in self._addresses if not _is_any_port(address)]
        found = [pair for pair in found if not any(_fits(address, pair[1]) for address in named)]
        before = sum(map(_is_any_port, self._addresses[: self._place]))
        return _first(found[before:] or found[-1:], self)

    @property
    def sock(self):
        """A socket object with a duplicate descriptor."""
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
    """Yield descriptor and name of each listening socket of this process."""
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(number)) as found:
                if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    yield number, found.getsockname()
        except OSError:
            # The descriptor that listdir used.
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
