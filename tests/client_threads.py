"""Clients of a server under test: threads that ask until they are told to end. What they ask, a subclass says."""

import threading


class ClientThreads:
    """Runs `run(number)` in each thread; it has to return soon after `done` is set. `patience`: what its last answer may take,
    in seconds."""

    def __init__(self, count, patience):
        self.done, self.patience = threading.Event(), patience
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.done.set()
        for thread in self.threads:
            thread.join(self.patience)
            assert not thread.is_alive(), "a client hangs"

    def run(self, number):
        raise NotImplementedError
