"""The processes of a server, from /proc, so that the harness does not depend on the server."""

import contextlib
import os
import pathlib
import re

PROC = pathlib.Path("/proc")


def stat(pid):
    """The fields of /proc/PID/stat after the name, or None if the process is gone."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    return None


def all_pids():
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]


def alive(pid):
    fields = stat(pid)
    return fields is not None and fields[0] not in "ZX"


def children(pid):
    found = []
    for candidate in all_pids():
        fields = stat(candidate)
        if fields and int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(candidate)
    return sorted(found)


def descendants(pid):
    found, queue = [], [pid]
    while queue:
        below = children(queue.pop())
        found += below
        queue += below
    return found


def of_session(session):
    """Pids of a session, zombies too."""
    found = []
    for candidate in all_pids():
        fields = stat(candidate)
        if fields and int(fields[3]) == session:
            found.append(candidate)
    return found


def title(pid):
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return ""


def pss_mib(pids, kind="Pss"):
    """Proportional set size: memory that processes share counts once. With kind ``Pss_Anon`` without files, of which
    the processes of other tests have a share.
    """
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            kib += int(re.search(rf"^{kind}:\s+(\d+)", (PROC / str(pid) / "smaps_rollup").read_text(), re.M)[1])
    return kib / 1024


def listening(pid):
    """(host, port) of each IPv4 socket on which a process listens, in the order of its descriptors."""
    inodes = []
    with contextlib.suppress(OSError):
        for descriptor in sorted((PROC / str(pid) / "fd").iterdir(), key=lambda entry: int(entry.name)):
            with contextlib.suppress(OSError):
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
                if found:
                    inodes.append(found[1])
        table = {}
        for line in (PROC / str(pid) / "net/tcp").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A":
                address, port = columns[1].split(":")
                host = ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
                table[columns[9]] = (host, int(port, 16))
        return [table[inode] for inode in dict.fromkeys(inodes) if inode in table]
    return []
