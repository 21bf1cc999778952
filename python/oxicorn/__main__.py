"""The ``oxicorn`` command."""

import sys

from . import _oxicorn, streams


def main():
    """Serve by the command line, and exit."""
    streams.open_missing()
    sys.exit(_oxicorn.main(sys.argv))


if __name__ == "__main__":
    main()
