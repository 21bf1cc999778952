"""Static files beside WSGI applications: Django's admin as its guide has it, and files while Python is busy."""

import os
import re
import subprocess
import sys
import textwrap
import threading
from signal import SIGHUP, SIGKILL

import pytest

from harness import OXICORN, Server, until

SETTINGS = """
    import os
    from pathlib import Path
    BASE_DIR = Path(__file__).resolve().parent.parent
    SECRET_KEY, DEBUG, ALLOWED_HOSTS, ROOT_URLCONF = "a test", False, ["*"], "shop.urls"
    INSTALLED_APPS = [
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "django.contrib.staticfiles",
    ]
    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware",
    ]
    TEMPLATES = [{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
    STATIC_URL, STATIC_ROOT = "static/", BASE_DIR / "collected"
    STORAGES = {"staticfiles": {"BACKEND": os.environ.get(
        "STORAGE", "django.contrib.staticfiles.storage.StaticFilesStorage")}}
"""
URLS = """
    from django.contrib import admin
    from django.urls import path
    urlpatterns = [path("admin/", admin.site.urls)]
"""
WSGI = """
    import os
    from django.core.wsgi import get_wsgi_application
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    application = get_wsgi_application()
"""
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
# Writes down its paths. Holds the interpreter's lock for as long as it lives.
BUSY = """
import os, re
def application(environ, start_response):
    path = environ["PATH_INFO"]
    with open(os.path.join(os.environ["HOME"], "paths"), "a") as file:
        print(path, file=file)
    if path == "/busy":
        # Backtracks without end: the lock is not let go of inside one match.
        re.match("(a+)+$", "a" * 64 + "b")
    start_response("200 OK", [("Content-Length", "5")])
    return [b"ready"]
"""


@pytest.fixture
def site(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.css").write_text("body {}")
    (files / "large.bin").write_bytes(bytes(range(256)) * 10_000)
    return files


def project(folder, storage=""):
    """A Django project whose static files are collected."""
    package = folder / "shop"
    package.mkdir()
    for name, text in (("__init__", ""), ("settings", SETTINGS), ("urls", URLS), ("wsgi", WSGI)):
        (package / f"{name}.py").write_text(textwrap.dedent(text))
    variables = {**os.environ, "DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": str(folder), **({"STORAGE": storage} if storage else {})}
    for command in (["migrate", "--verbosity", "0"], ["collectstatic", "--noinput", "--verbosity", "0"]):
        subprocess.run([sys.executable, "-m", "django", *command], check=True, env=variables, cwd=folder)
    return folder


def assets(server, prefix):
    """The URLs of the style sheets and scripts of the login page of Django's admin."""
    page = server.get(f"{prefix}/admin/login/")
    assert page.status == 200, page
    found = re.findall(r'(?:href|src)="([^"]+\.(?:css|js))"', page.text)
    assert len(found) >= 5, page.text
    return found


@pytest.mark.parametrize("prefix", ["", "/shop"])
@pytest.mark.parametrize("storage", ["", MANIFEST])
def test_djangos_admin_has_its_styles_and_scripts(tmp_path, prefix, storage):
    folder = project(tmp_path, storage)
    flags = ["--static-map", f"/static={folder}/collected", "--static-cache-control", "*.????????????.*=max-age=31536000, immutable"]
    mount = ["--root-path", prefix] if prefix else []
    variables = {"STORAGE": storage} if storage else {}
    with Server(OXICORN, "shop.wsgi:application", *flags, *mount, path=folder, env=variables, ready=False) as it:
        it.wait_ready() if not prefix else until("a worker", lambda: it.workers() and it.get(f"{prefix}/admin/login/").status == 200)
        for url in assets(it, prefix):
            assert url.startswith(f"{prefix}/static/admin/"), url
            answer = it.get(url)
            collected = folder / "collected" / url.removeprefix(f"{prefix}/static/")
            assert answer.status == 200 and answer.body == collected.read_bytes(), url
            kind = "text/css" if url.endswith(".css") else "text/javascript"
            assert answer.field("Content-Type") == f"{kind}; charset=utf-8"
            assert (answer.field("Cache-Control") == "max-age=31536000, immutable") == bool(storage)
            assert it.get(url, f"If-None-Match: {answer.field('ETag')}\r\n").status == 304
        for name in ("img/icon-yes.svg", "img/LICENSE"):
            found = list((folder / "collected/admin").glob(name))
            assert not found or it.get(f"{prefix}/static/admin/{name}").status == 200
        assert it.get(f"{prefix}/static/admin/none.css").status == 404
        assert it.get(f"{prefix}/static/../shop/settings.py").status in (400, 404)


def test_a_proxy_may_say_where_the_application_is_mounted(tmp_path):
    folder = project(tmp_path)
    with Server(OXICORN, "shop.wsgi:application", "--static-map", f"/static={folder}/collected", path=folder) as it:
        fields = "SCRIPT_NAME: /mounted\r\n"
        page = it.get("/mounted/admin/login/", fields)
        url = re.search(r'href="([^"]+\.css)"', page.text)[1]
        assert url.startswith("/mounted/static/")
        assert it.get(url, fields).status == 200
        # Without the field the path is one of the application.
        assert it.get(url).status == 404


def test_files_are_served_while_a_request_never_lets_go_of_the_interpreter(site):
    flags = ["--static-map", f"/static={site}", "--timeout", "3600"]
    with Server(OXICORN, "own_app:application", *flags, files={"own_app.py": BUSY}, expects=["was killed"]) as it:
        client = it.connect()
        client.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        until("a worker that is busy", lambda: "/busy" in (it.folder / "paths").read_text())
        with it.connect() as other:
            for _ in range(50):
                assert other.get("/static/a.css").text == "body {}"
                assert other.get("/static/large.bin", "Range: bytes=-256000\r\n").body == bytes(range(256)) * 1000
        assert "/static" not in (it.folder / "paths").read_text()
        it.signal(SIGKILL)
        it.process.wait()
        it.code = -SIGKILL


@pytest.mark.parametrize("flags", [[], ["--preload"]])
def test_no_client_notices_a_reload(site, flags):
    """Files and the application together, from kept connections."""
    stop, problems = threading.Event(), []
    counts = {"/static/a.css": 0, "/static/large.bin": 0, "/app": 0}

    def ask(server, target, length):
        try:
            while not stop.is_set():
                with server.connect() as client:
                    for _ in range(20):
                        answer = client.get(target)
                        assert answer.status == 200 and len(answer.body) == length, answer.status
                        counts[target] += 1
                        if answer.field("Connection") == "close":
                            break
        except BaseException as problem:
            problems.append((target, problem))

    with Server(
        OXICORN, "own_app:application", "--workers", "2", "--threads", "2", "--static-map", f"/static={site}", *flags,
        files={"own_app.py": BUSY},
    ) as it:
        lengths = {"/static/a.css": 7, "/static/large.bin": 2_560_000, "/app": 5}
        threads = [threading.Thread(target=ask, args=(it, target, lengths[target])) for target in counts for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            seen = dict(counts)
            until("progress", lambda: problems or all(counts[it] > seen[it] + 20 for it in counts))
            old = it.workers()
            it.signal(SIGHUP)
            until("new workers", lambda: len(new := it.workers()) == 2 and not set(new) & set(old))
        stop.set()
        for thread in threads:
            thread.join()
        assert not problems, problems


def test_a_config_file_sets_all_of_it(site):
    config = f"""
static_map = ["/static={site}", "/favicon.ico={site}/a.css"]
static_cache_control = ["*.css=public, max-age=60", "*=no-cache"]
static_index = "a.css"
def pre_request(worker, request):
    worker.log.info("hook for %s", request.path)
def when_ready(server):
    server.log.info("rules: %s", server.cfg.static_cache_control)
"""
    with Server(
        OXICORN, "own_app:application", "--config", "conf.py", files={"own_app.py": BUSY, "conf.py": config},
    ) as it:
        answer = it.get("/static/a.css")
        assert (answer.status, answer.field("Cache-Control")) == (200, "public, max-age=60")
        assert it.get("/static/").text == "body {}"
        assert it.get("/favicon.ico").field("Cache-Control") == "no-cache"
        it.get("/app")
        until("the hook", lambda: "hook for /app" in it.error_text())
        # No code of the application or its config file has a part in files.
        assert "hook for /static" not in it.error_text()
        assert "rules: ['*.css=public, max-age=60', '*=no-cache']" in it.error_text()
        until("its line", lambda: any('"GET /static/a.css HTTP/1.1" 200 7' in line for line in it.access_lines()))
