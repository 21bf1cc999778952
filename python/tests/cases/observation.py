"""What a client and the logs see of one case, as facts by name."""

import inspect
import itertools
import json
import re

from apps import mirror
from harness import TIMEOUT, Broken, Closed, lines, until

PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
# Names of the application's functions in tracebacks.
FRAMES = set(mirror.VIEWS) | {"application", "__next__", "close"}
# The texts of the application's exceptions.
SOURCE = "".join(map(inspect.getsource, mirror.PARTS))
TEXTS = set(re.findall(r'(?:Error|Exception|Iteration)\("([^"]+)"', SOURCE)) | {
    f"{what} of {name}" for what in ("iteration", "close") for name in mirror.VIEWS
}
# The page of a refusal: gunicorn's, oxicorn's.
PAGE = re.compile(rb"<html>\n  <head>\n    <title>|(\d{3} )?[A-Z][A-Za-z -]+\n$")
# Different in each server.
OWN = {"server", "date"}
fences = itertools.count()


def observe(server, case):
    before = (len(server.error_text()), len(server.access_lines())) if case.logs else None
    facts = {}
    with server.connect(1.0 if case.hangs else TIMEOUT) as client:
        talk(client, case, facts)
    last = facts.pop("last status", None)
    assert case.status in (last, None), f"{case.name} at {server.kind}: {last}: {facts}\n{server.story()}"
    if case.logs:
        facts.update(logged(server, facts, *before))
    return facts


def talk(client, case, facts):
    """Sends, reads one response per request, then checks whether the connection serves another."""
    number = 0
    sends, methods = list(case.sends), list(case.methods)
    try:
        client.send(sends.pop(0))
        if case.finish and not sends:
            client.finish()
        while methods:
            answer = client.any_answer(methods[0])
            number += 1
            facts.update(answer_facts(f"{number}.", answer, case))
            facts["last status"] = answer.status
            if answer.status < 200 and answer.status != 101:
                if sends:
                    client.send(sends.pop(0))
            else:
                methods.pop(0)
    except Closed:
        facts[f"{number + 1}.answer"] = "closed"
    except Broken:
        facts[f"{number + 1}.answer"] = "broken off"
        return
    except ConnectionError:
        facts[f"{number + 1}.answer"] = "refused to listen"
    except TimeoutError:
        facts[f"{number + 1}.answer"] = "never ends"
        assert case.hangs, f"{case.name}: no answer, or no end of one: {facts}"
        return
    facts["connection"] = reuse(client) if not case.finish else "finished"


def reuse(client):
    """Whether the connection serves one more request."""
    try:
        client.send(PROBE)
        answer = client.answer()
        return "kept" if answer.text == "ready" else f"out of step: {answer.status}"
    except (Closed, ConnectionError):
        return "closed"
    except Broken as broken:
        return f"rubbish: {broken}"


def answer_facts(prefix, answer, case):
    if PAGE.match(answer.body) or (answer.status >= 400 and not case.bodies):
        # The page of a refusal and its fields are different in each server.
        return {f"{prefix}page": f"{answer.status} {answer.reason}", f"{prefix}header.connection": answer.all("Connection")}
    facts = {f"{prefix}status": f"{answer.version} {answer.status} {answer.reason}"}
    facts[f"{prefix}framing"] = answer.framing
    for name in {name.lower() for name, _ in answer.fields} - OWN:
        facts[f"{prefix}header.{name}"] = sorted(answer.all(name))
    for name in OWN:
        facts[f"{prefix}header.{name}"] = len(answer.all(name))
    if answer.all("content-type") == ["application/json"] and answer.status == 200 and answer.body:
        facts.pop(f"{prefix}header.content-length", None)
        environ = json.loads(answer.body)
        if isinstance(environ, dict):
            facts.update((f"{prefix}environ.{key}", steady(key, value)) for key, value in environ.items())
    elif case.bodies:
        facts[f"{prefix}body"] = answer.body
    else:
        facts.pop(f"{prefix}header.content-length", None)
    return facts


def steady(key, value):
    """A value of the environ, without the parts that differ between runs."""
    if key in ("REMOTE_PORT", "SERVER_PORT"):
        return "(port)" if value.isdecimal() else value
    if key == "SERVER_SOFTWARE":
        return "(software)" if re.fullmatch(r"gunicorn/27\.0\.1( \(oxicorn/[\w.]+\))?", value) else value
    return value


def logged(server, facts, error_bytes, access_count):
    """New lines of both logs. Requests run one at a time, so a line of a later request comes after ours."""
    mark = f"/fence?{next(fences)}"
    server.get(mark)
    access = until("the fence in the access log", lambda: fenced(server.access_lines()[access_count:], mark))
    access = [access_fact(line) for line in access if "/probe" not in line and "/fence" not in line]
    own = any(name.endswith(".page") for name in facts)
    records = [line for line in lines(server.error_text()[error_bytes:]) if line.level not in ("DEBUG", "INFO")]
    found = {
        "access.lines": [line for line, _ in access],
        # gunicorn counts 0 for its own pages.
        "access.sizes": "(of a page)" if own else [size for _, size in access],
        "errors.levels": [line.level for line in records],
        "errors.types": [line.exception.split(":")[0].split(".")[-1] for line in records if line.exception],
        "errors.texts": [line.exception for line in records if of_the_application(line.exception)],
        "errors.frames": [[frame for frame in line.frames if frame in FRAMES] for line in records if line.exception],
        "errors.written": sorted(text for line in records if not line.level for text in (line.message, *line.more)),
    }
    return {name: value for name, value in found.items() if value}


def of_the_application(exception):
    """Whether the text comes from the application. Of a server's own, only the type is compared."""
    return exception and exception.partition(": ")[2] in TEXTS


def fenced(lines, mark):
    return lines if any(mark in line for line in lines) else None


def access_fact(line):
    """An access line without time and port, and its size separately."""
    line = re.sub(r"\[\d\d/\w+/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", "[time]", line)
    found = re.fullmatch(r'(.*" \S+) (\S+)( ".*)', line)
    return (found[1] + found[3], found[2]) if found else (line, None)
