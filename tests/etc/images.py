"""Images, built by buildah from the Dockerfiles of etc/docker.

No registry of images is asked. What the Dockerfiles begin with has stand-ins with the same names: Debian, by debootstrap, with Debian's
compiler and Python and with this machine's Rust. They are kept in the cache.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from instance import ROOT, fetched

CACHE = Path(os.environ.get("OXICORN_CACHE_DIR") or Path.home() / ".cache/oxicorn") / "images"
CARGO_HOME = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
CERTIFICATES = "/etc/ssl/certs"
INSTALL = "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends"
# Then the cache is emptied of what has no name.
MOST_IMAGES = 150
DEBIAN = "docker.io/library/debian:bookworm-slim"
# Whatever tells pip of another index or proxy is true in an image, too.
PIP = " ".join(f"{name}={json.dumps(value)}" for name, value in os.environ.items() if name.startswith("PIP_") and name != "PIP_FIND_LINKS")
ISOLATION = ("--isolation", "chroot", "--network", "host", "--format", "docker", "--pull-never")
STAND_INS = {
    "docker.io/library/rust:1.95-bookworm": f"""
FROM {DEBIAN}
{INSTALL} build-essential python3
ENV PATH=/toolchain/bin:/usr/bin:/bin:/usr/sbin:/sbin CARGO_HOME={CARGO_HOME} CARGO_TARGET_DIR=/warm {PIP}
""",
    "docker.io/library/python:3.13-slim-bookworm": f"""
FROM {DEBIAN}
{INSTALL} python3 python3-venv && ln -s /usr/bin/python3 /usr/local/bin/python
ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin {PIP}
""",
}


def buildah(*words, check=True):
    command = ["buildah", "--root", CACHE / "store", "--runroot", "/run/oxicorn-images", "--storage-driver", "overlay", *words]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{result.stdout[-4000:]}{result.stderr[-4000:]}")
    return result


def stand_ins():
    """Makes those that are not there; the test is skipped, and says why, where they cannot be made."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "debootstrap"))):
        raise unittest.SkipTest("takes root, buildah and debootstrap: scripts/install-deps etc")
    CACHE.mkdir(parents=True, exist_ok=True)
    # What earlier builds have left: layers of sources that have changed since.
    if len(buildah("images", "--all", "--quiet").stdout.split()) > MOST_IMAGES:
        buildah("rmi", "--prune")
    if not there(DEBIAN, RELEASE):
        fetched(make_debian)
        keep(DEBIAN, RELEASE)
    for name, recipe in STAND_INS.items():
        if not there(name, recipe):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "Dockerfile").write_text(recipe)
                fetched(lambda name=name, folder=folder: buildah("bud", *ISOLATION, "--tag", name, folder))
            keep(name, recipe)


def make_debian():
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, folder, MIRROR]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        container = buildah("from", "scratch").stdout.strip()
        buildah("copy", "--quiet", container, f"{folder}/", "/")
        buildah("commit", "--quiet", "--rm", container, DEBIAN)


def stamp(name):
    return CACHE / f"{name.replace('/', '-')}.stamp"


def there(name, recipe):
    """Whether there is an image by this recipe."""
    if not stamp(name).exists() or stamp(name).read_text() != digest(recipe):
        return False
    return buildah("inspect", "--type", "image", name, check=False).returncode == 0


def keep(name, recipe):
    stamp(name).write_text(digest(recipe))


def digest(recipe):
    return hashlib.sha256(recipe.encode()).hexdigest()


def build(dockerfile, tag, *words):
    """With what this machine has compiled for its tests, where that runs in an image: a copy on write."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    volumes = {f"{sysroot}:/toolchain:ro", f"{CERTIFICATES}:{CERTIFICATES}:ro"}
    if f"VERSION_CODENAME={RELEASE}" in Path("/etc/os-release").read_text():
        volumes |= {f"{TARGET}:/warm:O", f"{CARGO_HOME / 'registry'}:{CARGO_HOME / 'registry'}:O"}
    mounts = [word for volume in sorted(volumes) for word in ("--volume", volume)]
    # Quick, not fast.
    told = ("--layers", "--build-arg", "PROFILE=dev", *mounts, *words, "--file", ROOT / "etc/docker" / dockerfile, "--tag", tag, ROOT)
    fetched(lambda: buildah("bud", *ISOLATION, *told))


def configuration(tag):
    return json.loads(buildah("inspect", "--type", "image", tag).stdout)["Docker"]["config"]


@contextlib.contextmanager
def files(tag):
    """Where those of an image are, for a while; what is written to them is lost."""
    container = buildah("from", "--pull-never", tag).stdout.strip()
    try:
        yield Path(buildah("mount", container).stdout.strip())
    finally:
        buildah("rm", container)
