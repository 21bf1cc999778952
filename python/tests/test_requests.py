"""The differential suite over single connections: both servers get the same bytes, and every fact is compared."""

import pytest

from cases import bodies, environ, observe, refusals, responses
from harness import Pair, compare

FAULTS = [r"Traceback", r"RuntimeError", r"ValueError"]


@pytest.fixture(scope="module")
def pair():
    # One thread, so that requests and their log lines come in order.
    with Pair("mirror:application", "--worker-class", "gthread", "--threads", "1", "--keep-alive", "30", expects=[r""]) as pair:
        yield pair


def parametrised(group, cases):
    return [pytest.param(f"{group}/{case.name}", case, id=f"{group}/{case.name}") for case in cases]


ALL = [
    *parametrised("environ", environ.CASES),
    *parametrised("bodies", bodies.CASES),
    *parametrised("refusals", refusals.CASES),
    *parametrised("responses", responses.CASES),
]


@pytest.mark.parametrize("name, case", ALL)
def test_request(pair, name, case):
    compare(name, *pair.observe(lambda server: observe(server, case)))
