"""Messages about mistakes: they name the place, the mistake and the remedy."""

import pytest

from harness import OXICORN, run

APP = "from lifecycle import application\n"
FILES = {
    "fine.py": APP,
    "conf_preload.py": "preload = True\n",
    "conf_upper.py": "WORKERS = 2\n",
    "conf_prepared.py": "PORT = 0\nbind = f'127.0.0.1:{PORT}'\n",
    "conf_port.py": "bind = 5331\n",
}
# Arguments, environment and expected message, by name.
SLIPS = {
    "no application": ([], {}, ["no application named", "oxicorn MODULE:CALLABLE"]),
    "module not found": (
        ["nothing_of_that_name:application"], {}, ["No module named 'nothing_of_that_name'", "working directory is", "looks in", "--chdir"],
    ),
    "config file not found": (["-c", "nowhere.py", "fine:application"], {}, ["flag --config", "nowhere.py", "No such file"]),
    "port alone": (["-c", "conf_port.py", "fine:application"], {}, ["conf_port.py: setting bind", "5331", "127.0.0.1:5331"]),
    "port out of range": (["-b", "127.0.0.1:70000", "fine:application"], {}, ["--bind", "70000", "65535"]),
    "host of others": (["--host", "127.0.0.1", "fine:application"], {}, ["--host", "--bind HOST:PORT"]),
    "key of others": (["--ssl-keyfile", "x.pem", "fine:application"], {}, ["--ssl-keyfile", "--keyfile FILE"]),
}
REMARKS = {
    "preload": (["-c", "conf_preload.py"], {}, "preload is no setting: did you mean preload_app?"),
    "upper case": (["-c", "conf_upper.py"], {}, "WORKERS is no setting: did you mean workers?"),
    "variable": ([], {"GUNICORN_WORKRES": "2"}, "GUNICORN_WORKRES is no setting and is ignored: did you mean GUNICORN_WORKERS?"),
}


def said(*arguments, env=None):
    return run(OXICORN, *arguments, env=env, files=FILES)


@pytest.mark.parametrize("name", SLIPS)
def test_slips_are_explained(name):
    arguments, env, parts = SLIPS[name]
    outcome = said("--pythonpath", "{folder}", *arguments, env=env)
    assert outcome.code == (3 if name == "module not found" else 1), outcome
    for part in parts:
        assert part in outcome.text, outcome


@pytest.mark.parametrize("name", REMARKS)
def test_slips_that_stop_nothing_are_remarked_on(name):
    arguments, env, text = REMARKS[name]
    outcome = said("--pythonpath", "{folder}", "--check-config", *arguments, "fine:application", env=env)
    assert outcome.code == 0 and outcome.text.count(text) == 1, outcome
    assert outcome.text.splitlines()[-1] == "oxicorn: ok", outcome


def test_what_a_config_file_prepares_is_its_own_business():
    outcome = said("--pythonpath", "{folder}", "--check-config", "-c", "conf_prepared.py", "fine:application")
    assert outcome.code == 0 and "no setting" not in outcome.text, outcome


def test_passwords_are_masked_in_what_is_printed():
    outcome = said("--print-config", "--env", "DATABASE_URL=postgres://me:hunter2@h/d", "fine:application")
    assert outcome.code == 0 and "hunter2" not in outcome.text, outcome
