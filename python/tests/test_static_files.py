"""Static files beside WSGI applications: Django's admin as its guide has it, and files while Python is busy."""

import os
import re
import subprocess
import sys
import textwrap
import threading
from signal import SIGHUP

import pytest

from harness import OXICORN, Server, lock_held, until
from harness.deadline import until_after
from harness.lock import paths

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
        it.wait_ready(f"{prefix}/admin/login/")
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
    with Server(OXICORN, "lock_holder:application", *flags, expects=["was killed"]) as it, lock_held(it):
        with it.connect() as other:
            for _ in range(50):
                assert other.get("/static/a.css").text == "body {}"
                assert other.get("/static/large.bin", "Range: bytes=-256000\r\n").body == bytes(range(256)) * 1000
        assert not [path for path in paths(it) if path.startswith("/static")]


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

    more = ["--workers", "2", "--threads", "2", "--static-map", f"/static={site}", *flags]
    with Server(OXICORN, "lock_holder:application", *more) as it:
        lengths = {"/static/a.css": 7, "/static/large.bin": 2_560_000, "/app": 5}
        threads = [threading.Thread(target=ask, args=(it, target, lengths[target])) for target in counts for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            for target, seen in counts.copy().items():
                goal = seen + 20
                until_after(target, lambda target=target, goal=goal: goal if problems else counts[target], goal)
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
    with Server(OXICORN, "lock_holder:application", "--config", "conf.py", files={"conf.py": config}) as it:
        answer = it.get("/static/a.css")
        assert (answer.status, answer.field("Cache-Control")) == (200, "public, max-age=60")
        assert it.get("/static/").text == "body {}"
        assert it.get("/favicon.ico").field("Cache-Control") == "no-cache"
        it.get("/app")
        until("the hook", lambda: "hook for /app" in it.error_text())
        # No code of the application or its config file has a part in files.
        assert "hook for /static" not in it.error_text()
        until("the other hook", lambda: "rules: ['*.css=public, max-age=60', '*=no-cache']" in it.error_text())
        until("its line", lambda: any('"GET /static/a.css HTTP/1.1" 200 7' in line for line in it.access_lines()))
