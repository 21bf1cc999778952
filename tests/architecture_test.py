#!/usr/bin/env python3
"""Holds the structure of the source to its rules.

    python3 tests/architecture_test.py            the test
    python3 tests/architecture_test.py circles    the import circles of each crate, with what ties them
    python3 tests/architecture_test.py names      the types that share a name

It reads the Rust code as text: `use` declarations and paths that begin with `crate`, `super` or `self`. An import counts for
the file that defines the item, so a parent that only re-exports an item of a child ties nothing. Tests do not count.
"""

import re
import sys
import unittest
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CRATES = ("common", "worker", "service", "admin", "master", "python")
MOST_LINES = 400
MOST_FILES_IN_A_CIRCLE = 2
# Names that several types may have, each seen by its own file or folder alone.
SHARED_NAMES = {"State": "what a lock guards, or where a state machine stands; never visible outside its file"}

TEST_MODULE = re.compile(r"^( *)#\[cfg\((?:test|all\(test[^\n]*)\)\]\s*\n(?:\1#\[[^\n]*\n)*\1(pub(?:\([a-z]+\))? )?mod (\w+)( \{|;)", re.M)
MODULE = re.compile(r"^ *(?:pub(?:\([^)]*\))? )?mod (\w+);", re.M)
USE = re.compile(r"^ *(pub(?:\([^)]*\))? )?use ([^;]+);", re.M)
PATH = re.compile(r"\b((?:crate|super|self)(?:::\w+)+)")
TYPE = re.compile(r"^(pub(?:\([^)]*\))? )?(?:struct|enum|trait|union|type) (\w+)", re.M)
ITEM = re.compile(
    r"^ *(?:pub(?:\([^)]*\))? )?(?:unsafe |const |async |extern \"C\" )*"
    r"(?:struct|enum|trait|union|type|fn|const|static|mod|macro_rules!) (?:mut )?(\w+)",
    re.M,
)


def code_of(text):
    """`text` without comments, strings and test modules, and the names of the test modules in files of their own."""
    tests = {match[3] for match in TEST_MODULE.finditer(text) if match[4] == ";"}
    for match in reversed([match for match in TEST_MODULE.finditer(text) if match[4] == " {"]):
        end = text.find(f"\n{match[1]}}}\n", match.end())
        text = text[: match.start()] + (text[end + len(match[1]) + 2 :] if end >= 0 else "")
    text = re.sub(r"//[^\n]*|\(in [\w:]+\)", "", text)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text), tests


class Crate:
    """The modules of one crate, by their paths, and what each imports."""

    def __init__(self, name):
        self.name = name
        self.files = {}
        self.code = {}
        self.exports = defaultdict(dict)
        self.items = {}
        source = ROOT / name / "src"
        self.read((), source / "lib.rs", source)
        for module, code in self.code.items():
            self.items[module] = set(ITEM.findall(code))
            for public, tree in USE.findall(code):
                if public:
                    for path, alias in leaves(tree):
                        self.exports[module][alias] = path

    def read(self, module, file, folder):
        if not file.is_file():
            return
        self.files[module] = file
        self.code[module], tests = code_of(file.read_text())
        for child in MODULE.findall(self.code[module]):
            if child not in tests:
                place = folder / f"{child}.rs"
                nested = folder / child / "mod.rs"
                self.read((*module, child), nested if nested.is_file() else place, folder / child)

    def resolve(self, module, path, depth=0):
        """The module that defines what `path` names, seen from `module`, or None for another crate."""
        parts = path.split("::")
        if parts[0] == "crate":
            at, parts = (), parts[1:]
        elif parts[0] in ("self", "super"):
            at = module
            while parts and parts[0] in ("self", "super"):
                at = at[:-1] if parts[0] == "super" else at
                parts = parts[1:]
        elif (*module, parts[0]) in self.files:
            at = module
        else:
            return None
        while parts and (*at, parts[0]) in self.files:
            at, parts = (*at, parts[0]), parts[1:]
        exported = self.exports[at].get(parts[0]) if parts else None
        if exported and depth < 8 and parts[0] not in self.items[at]:
            return self.resolve(at, "::".join([exported, *parts[1:]]), depth + 1)
        return at

    def arrows(self):
        """For each file those that it imports, with the names."""
        found = defaultdict(lambda: defaultdict(set))
        for module, code in self.code.items():
            paths = {path for public, tree in USE.findall(code) if not public for path, _ in leaves(tree)}
            paths |= set(PATH.findall(re.sub(USE, "", code)))
            # What a re-export of a sibling or a parent brings is an import; that of a child is not.
            for public, tree in USE.findall(code):
                if public:
                    brought = {path for path, _ in leaves(tree) if not path.startswith("self")}
                    paths |= {path for path in brought if (*module, path.split("::")[0]) not in self.files}
            for path in paths:
                target = self.resolve(module, path)
                if target is not None and target != module and target in self.files:
                    found[self.files[module]][self.files[target]].add(path.split("::")[-1])
        return found


def leaves(tree):
    """Each path of a `use` tree, with the name that it gets."""
    tree = re.sub(r"\s+", " ", tree).strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = tree.partition(" as ")
        path = path.removesuffix("::self").strip()
        return [(path, alias.strip() or path.split("::")[-1])]
    prefix, inner, depth, piece, found = tree[:brace], tree[brace + 1 : tree.rindex("}")], 0, "", []
    for letter in inner + ",":
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            if piece.strip():
                found += leaves(prefix + piece.strip())
            piece = ""
        else:
            piece += letter
    return found


def circles(arrows):
    """The strongly connected sets of files, the largest first (Tarjan)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        for other in arrows.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            members = set()
            while node not in members:
                members.add(stack.pop())
            on.difference_update(members)
            if len(members) > 1:
                found.append(sorted(members))

    sys.setrecursionlimit(10_000)
    for node in list(arrows):
        if node not in index:
            visit(node)
    return sorted(found, key=len, reverse=True)


def crates():
    return [Crate(name) for name in CRATES if (ROOT / name / "src/lib.rs").is_file()]


def shown(path):
    return str(path.relative_to(ROOT))


def types():
    """Where each type is defined; what is allowed to share its name is left out."""
    found = defaultdict(list)
    for crate in crates():
        for module, file in crate.files.items():
            for public, name in TYPE.findall(crate.code[module]):
                if public or name not in SHARED_NAMES:
                    found[name].append(shown(file))
    return found


class ArchitectureTest(unittest.TestCase):
    def test_no_import_circle_has_more_than_two_files(self):
        for crate in crates():
            large = [circle for circle in circles(crate.arrows()) if len(circle) > MOST_FILES_IN_A_CIRCLE]
            self.assertEqual([[shown(file) for file in circle] for circle in large], [], crate.name)

    def test_no_file_is_long(self):
        files = [file for part in (*CRATES, "tests", "scripts") for file in (ROOT / part).rglob("*") if file.suffix in (".rs", ".py")]
        long = {shown(file): count for file in files if (count := len(file.read_text().splitlines())) > MOST_LINES}
        self.assertEqual(long, {})

    def test_no_two_types_share_a_name(self):
        self.assertEqual({name: files for name, files in types().items() if len(files) > 1}, {})

    def test_each_word_of_the_lexicon_names_one_type(self):
        defined = types()
        entries = re.findall(r"^- \*\*([^*]+)\*\*(?: \(`(\w+)`\))?:", (ROOT / "docs/lexicon.md").read_text(), re.M)
        self.assertGreater(len(entries), 20)
        self.assertEqual([word for word, _ in entries if [other for other, _ in entries].count(word) > 1], [])
        for word, name in entries:
            with self.subTest(word):
                # A type of that very name is the one that the entry gives, and there is only one.
                spelled = "".join(part.capitalize() for part in re.split("[ -]", word))
                for candidate in {name, spelled} - {""}:
                    self.assertLessEqual(len(defined.get(candidate, [])), 1)
                if name:
                    self.assertIn(name, defined)


def report_circles():
    for crate in crates():
        arrows = crate.arrows()
        for circle in circles(arrows):
            print(f"{crate.name}: {len(circle)} files")
            for file in circle:
                for other, names in sorted(arrows[file].items()):
                    if other in circle:
                        print(f"  {shown(file)} -> {shown(other)}: {', '.join(sorted(names))}")


def report_names():
    for name, files in sorted(types().items()):
        if len(files) > 1:
            print(f"{name}: {', '.join(files)}")


if __name__ == "__main__":
    reports = {"circles": report_circles, "names": report_names}
    if sys.argv[1:] and sys.argv[1] in reports:
        reports[sys.argv[1]]()
    else:
        unittest.main()
