"""The calls of a workload without a server: the same number of processes and threads call the application in a loop.

    bare.py MODULE:NAME PATH PROCESSES THREADS SECONDS

Prints the calls per second: what this machine allows a server that costs nothing. A sleep ends late, and a computation shares
the processors with others.
"""

import importlib
import os
import sys
import threading
import time


def main(application, path, processes, threads, seconds):
    module, name = application.split(":")
    application = getattr(importlib.import_module(module), name)
    # On the same clock in all processes.
    start = time.monotonic() + 0.2
    ends = []
    for _ in range(processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, repr(process(application, path, threads, start, seconds)).encode())
            os._exit(0)
        os.close(writer)
        ends.append(reader)
    print(sum(float(os.read(reader, 100)) for reader in ends))


def process(application, path, threads, start, seconds):
    rates = []

    def call():
        time.sleep(max(start - time.monotonic(), 0))
        calls, begun = 0, time.monotonic()
        while (now := time.monotonic()) < begun + seconds:
            list(application({"PATH_INFO": path}, lambda status, fields: None))
            calls += 1
        rates.append(calls / (now - begun))

    calling = [threading.Thread(target=call) for _ in range(threads)]
    for thread in calling:
        thread.start()
    for thread in calling:
        thread.join()
    return sum(rates)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:5]), float(sys.argv[5]))
