"""The ``oxicorn`` command."""

import sys

from . import _oxicorn


def main():
    """Serve as the command line says, and exit."""
    sys.exit(_oxicorn.main(sys.argv))


if __name__ == "__main__":
    main()
