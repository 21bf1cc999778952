#!/usr/bin/env python3
"""scripts/install-deps on an empty machine: the commands of this one are hidden, and a fake apt-get creates the commands of
the packages that it should install.

    python3 tests/install_deps_test.py
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts/install-deps"
# The commands of a minimal Debian that the script uses.
ALWAYS_THERE = ("cat chmod cut dirname env grep head id ls mkdir mount rm sed sh sort tee touch").split()
# The commands of each package, according to the script; ensurepip is no command.
PACKAGES = {"rustup": {"rustup"}, "python3-venv": set()}
for _command, _package in re.findall(r"\b(?:need|lack) ([a-z0-9-]+) ([a-z0-9-]+)$", SCRIPT.read_text(), re.M):
    PACKAGES.setdefault(_package, set()).add(_command)
# Only for `make test-etc`.
ETC = {"logrotate", "golang-go", "buildah", "debootstrap", "systemd"}
# Only for `make bench`.
BENCH = {"libev-dev", "python3-dev"}
APT = """#!/bin/sh
echo "$@" >> {log}
[ "$1" = install ] || exit 0
[ -x /usr/sbin/policy-rc.d ] || echo "a package may start a daemon" >> {log}
for word; do
    case "$word" in
{cases}
    esac
done
"""
CARGO = """#!/bin/sh
case "$1" in
    --version) [ -e {folder}/toolchain ] && echo "cargo $(cat {folder}/toolchain) (0123456789 2026-01-01)" ;;
    *) [ -e {folder}/component-$1 ] ;;
esac
"""
RUSTUP = """#!/bin/sh
echo "rustup $@" >> {log}
case "$1" in
    default) echo 1.95.0 > {folder}/toolchain; cp {folder}/cargo {tools}/cargo ;;
    component) touch {folder}/component-fmt {folder}/component-clippy ;;
esac
"""


@unittest.skipUnless(os.geteuid() == 0, "folders are hidden in a namespace of mounts, which takes root")
class InstallDepsTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="oxicorn-install-deps-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.tools = self.folder / "bin"
        self.tools.mkdir()
        for name in ALWAYS_THERE:
            self.tools.joinpath(name).symlink_to(shutil.which(name))
        self.log = self.folder / "log"
        self.log.touch()
        self.write(self.folder / "cargo", CARGO.format(folder=self.folder))
        self.write(self.folder / "rustup", RUSTUP.format(folder=self.folder, log=self.log, tools=self.tools))

    def test_on_debian_all_of_it_comes_at_once_and_then_nothing_is_done(self):
        self.debian()
        self.rust("1.95.0")
        result = self.run_script("test")
        self.assertEqual(result.returncode, 0, result.stderr)
        update, install = self.log.read_text().splitlines()
        self.assertEqual(update, "update -q")
        self.assertLessEqual(set(PACKAGES) - {"rustup"} - BENCH - ETC, set(install.split()))
        self.log.write_text("")
        again = self.run_script("test")
        self.assertEqual((again.returncode, again.stdout, again.stderr, self.log.read_text()), (0, "", "", ""))

    def test_make_run_takes_no_database(self):
        self.debian()
        self.rust("1.96.1")
        self.assertEqual(self.run_script("build").returncode, 0)
        packages = {word for word in self.log.read_text().split() if word in PACKAGES}
        self.assertEqual(packages, {"build-essential"})

    def test_elsewhere_all_that_is_missing_is_named_at_once(self):
        result = self.run_script("test")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("Rust 1.95 or newer: https://rustup.rs", result.stderr)
        for name in ("cc", "make", "python3", "postgres", "redis-server", "java", "mvn", "nginx", "haproxy", "setpriv"):
            self.assertIn(f"\n  {name}: package", result.stderr)

    def test_elsewhere_with_rust(self):
        self.rust("1.95.0")
        self.assertIn("there is no apt-get here", self.run_script("build").stderr)

    def test_without_rust_nothing_is_installed(self):
        self.debian()
        result = self.run_script("build")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("Rust 1.95 or newer: https://rustup.rs", result.stderr)
        self.assertIn("apt-get install build-essential", result.stderr)
        self.assertEqual(self.log.read_text(), "")

    def test_a_rust_that_is_too_old_is_named(self):
        self.debian()
        self.rust("1.63.0")
        self.assertIn("Rust 1.95 or newer (here is 1.63.0): https://rustup.rs", self.run_script("build").stderr)

    def test_debian_has_rustup(self):
        self.debian(rustup=True)
        result = self.run_script("build")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("rustup default 1.95.0", self.log.read_text())

    def test_lint_gets_its_components(self):
        self.debian()
        self.rust("1.95.0")
        self.assertIn("cargo clippy: comes with Rust", self.run_script("lint").stderr)
        shutil.copy(self.folder / "rustup", self.tools / "rustup")
        result = self.run_script("lint")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("rustup component add rustfmt clippy", self.log.read_text())

    def test_who_may_not_install_is_told_the_command(self):
        self.debian()
        self.rust("1.95.0")
        self.tools.joinpath("id").unlink()
        self.write(self.tools / "id", "#!/bin/sh\necho 1000\n")
        result = self.run_script("build")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("apt-get needs root, or sudo", result.stderr)
        self.assertIn("apt-get install build-essential", result.stderr)
        self.assertEqual(self.log.read_text(), "")

    # The machine.

    def debian(self, rustup=False):
        made = {**PACKAGES, "rustup": set()}
        cases = "\n".join(
            f"        {package}) for name in {' '.join(sorted(commands))}; do"
            f" printf '#!/bin/sh\\n' > {self.tools}/$name; chmod 755 {self.tools}/$name; done ;;"
            for package, commands in made.items() if commands
        )
        cases += f"\n        rustup) cp {self.folder}/rustup {self.tools}/rustup ;;"
        self.tools.joinpath("cp").symlink_to(shutil.which("cp"))
        self.write(self.tools / "apt-get", APT.format(log=self.log, cases=cases))
        self.write(self.tools / "apt-cache", f"#!/bin/sh\nexit {0 if rustup else 100}\n")

    def rust(self, version):
        (self.folder / "toolchain").write_text(version + "\n")
        shutil.copy(self.folder / "cargo", self.tools / "cargo")

    def write(self, path, text):
        path.write_text(text)
        path.chmod(0o755)

    def run_script(self, *groups):
        # Folders of Debian that are not on the path.
        hidden = [path for path in ("/usr/sbin", "/usr/lib/postgresql") if os.path.isdir(path)]
        command = "; ".join([*(f"mount -t tmpfs none {path}" for path in hidden), 'exec "$@"'])
        return subprocess.run(
            [shutil.which("unshare"), "--mount", "sh", "-ec", command, "-", "sh", SCRIPT, *groups],
            env={"PATH": str(self.tools), "HOME": str(self.folder)}, capture_output=True, text=True, timeout=60, check=False,
        )


class MakefileTest(unittest.TestCase):
    def test_each_target_begins_with_what_it_needs(self):
        groups = {"run": "build", "check": "lint", "test-etc": "etc"}
        for target in ("run", "test", "test-etc", "lint", "check", "python", "bench"):
            with self.subTest(target):
                # Without the variables of a make that runs this test.
                environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
                told = subprocess.run(
                    ["make", "-n", target], cwd=ROOT, env=environ, capture_output=True, text=True, check=True,
                ).stdout
                self.assertEqual(told.splitlines()[0], f"scripts/install-deps {groups.get(target, target)}")

    def test_ci_runs_what_the_documents_say(self):
        lines = (ROOT / ".ci/run").read_text().splitlines()
        commands = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
        self.assertTrue(all(command.startswith("make ") for command in commands), commands)
        targets = " ".join(command.removeprefix("make ") for command in commands)
        for document in ("README.md", "CONTRIBUTING.md"):
            with self.subTest(document):
                told = [line for line in (ROOT / document).read_text().splitlines() if "what CI runs" in line]
                self.assertEqual(len(told), 1)
                self.assertRegex(told[0], rf"make {targets}(`| )")


if __name__ == "__main__":
    unittest.main()
