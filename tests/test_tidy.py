"""The style that matters, as a test: limits of length, what the core may not do, names and docstrings.

Each rule is a function from one parsed file to complaints, and is itself tested on a planted offence, so that
a rule that stops working fails.  What ruff, mypy and import-linter check is not checked again here.
"""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from msgspec import Struct

ROOT = Path(__file__).parents[1]
FOLDERS = ("streams", "tests", "benchmarks")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
NAME_WORDS_MIN = 3
LEFTOVERS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "Not" + "ImplementedError")
BANNED_IN_CORE = {
    "hash": "its value changes from process to process: use hashlib",
    "id": "an address is no identity: use a field",
    "input": "the core reads nothing: take it as an argument",
    "open": "the core reads nothing: take the text as an argument",
    "print": "the core says nothing: return a value",
    "breakpoint": "remove it",
    "eval": "code is not data",
    "exec": "code is not data",
    "now": "time is event time and an argument",
    "utcnow": "time is event time and an argument",
    "today": "time is event time and an argument",
    "perf_counter": "time is event time and an argument",
    "monotonic": "time is event time and an argument",
    "random": "randomness is an argument, or a keyed hash of an id",
    "shuffle": "randomness is an argument, or a keyed hash of an id",
    "getenv": "settings are an argument",
    "read_text": "the core reads nothing: take the text as an argument",
    "read_bytes": "the core reads nothing: take the bytes as an argument",
    "write_text": "the core writes nothing: return an effect",
    "write_bytes": "the core writes nothing: return an effect",
}
CLOCKS_AND_DICE = ("time", "random", "secrets")
"""Modules of which the core may call nothing, by whatever name the function has."""
SOURCE_NUMBERS = "streams/core/contracts/source.py"
LIMIT = "PARTITIONS_MAX"
EXACT = frozenset(
    {"ceil", "floor", "frexp", "fsum", "inf", "isfinite", "isnan", "isqrt", "ldexp", "nan", "sqrt", "trunc"}
)
"""What of `math` has the same bits on every processor: IEEE 754 rounds it in one way, or it is exact."""
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}


class SourceFile(Struct, frozen=True):
    """One file as the rules see it; `path` is relative to the repository and uses forward slashes."""

    path: str
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]


Rule = Callable[[SourceFile], Iterator[str]]


def parse(path: str, text: str) -> SourceFile:
    tree = ast.parse(text)
    return SourceFile(path, text, tree, tuple(ast.walk(tree)))


@cache
def files() -> tuple[SourceFile, ...]:
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return tuple(parse(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in paths)


def functions(source: SourceFile) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_files(source: SourceFile) -> Iterator[str]:
    count = len(source.text.splitlines())
    if source.path.startswith("streams/") and count > FILE_LINES_MAX:
        yield f"{source.path}: {count} lines, at most {FILE_LINES_MAX}: is there a second noun in it?"


def long_functions(source: SourceFile) -> Iterator[str]:
    """A docstring does not count: its examples are tests, and nobody should save on them."""
    for node in functions(source):
        first = node.body[0]
        docstring = ast.get_docstring(node, clean=False)
        described = (first.end_lineno or first.lineno) - first.lineno + 1 if docstring is not None else 0
        count = (node.end_lineno or node.lineno) - node.lineno + 1 - described
        if count > FUNCTION_LINES_MAX:
            yield f"{source.path}:{node.lineno}: {node.name} has {count} lines, at most {FUNCTION_LINES_MAX}"


def impure_core(source: SourceFile) -> Iterator[str]:
    if not source.path.startswith("streams/core/"):
        return
    for node in source.nodes:
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{source.path}:{node.lineno}: the core awaits nothing"
        elif isinstance(node, ast.Call):
            yield from _impure_call(source.path, node)


def _impure_call(path: str, call: ast.Call) -> Iterator[str]:
    match call.func:
        case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in CLOCKS_AND_DICE:
            yield f"{path}:{call.lineno}: {owner}.{name}() in the core: time and chance are arguments"
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in BANNED_IN_CORE:
            yield f"{path}:{call.lineno}: {name}() in the core: {BANNED_IN_CORE[name]}"


def inexact_core(source: SourceFile) -> Iterator[str]:
    """Powers of whole numbers are exact; any other one is the C library's."""
    if not source.path.startswith("streams/core/"):
        return
    for node in source.nodes:
        match node:
            case ast.ImportFrom(module="math" | "cmath", names=names):
                found = sorted({alias.name for alias in names} - EXACT)
            case ast.Attribute(value=ast.Name(id="math" | "cmath"), attr=name) if name not in EXACT:
                found = [name]
            case ast.BinOp(op=ast.Pow(), left=left, right=right) if not (_is_whole(left) and _is_whole(right)):
                found = ["**"]
            case ast.Call(func=ast.Name(id="pow")):
                found = ["pow"]
            case _:
                continue
        for name in found:
            yield f"{source.path}:{node.lineno}: {name} of the C library: exact_math has the same bits everywhere"


def _is_whole(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def leftovers(source: SourceFile) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), start=1):
        for word in LEFTOVERS:
            if word in line:
                yield f"{source.path}:{number}: {word}: finish it or take it out"


def pickles(source: SourceFile) -> Iterator[str]:
    for node in source.nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.split(".")[0] in PICKLES for name in names):
            yield f"{source.path}: what is stored is plain data that the next version can read"


def missing_docstrings(source: SourceFile) -> Iterator[str]:
    """Every public thing of a module, a class or a nested class; what stands inside a function is not public."""
    if not source.path.startswith("streams/"):
        return
    if ast.get_docstring(source.tree) is None:
        yield f"{source.path}: the module does not say what it is"
    waiting: list[ast.Module | ast.ClassDef] = [source.tree]
    while waiting:
        for node in waiting.pop().body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                yield f"{source.path}:{node.lineno}: {node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                waiting.append(node)


def wordless_tests(source: SourceFile) -> Iterator[str]:
    if not source.path.startswith("tests/"):
        return
    for node in functions(source):
        if node.name.startswith("test") and len(node.name.split("_")) - 1 < NAME_WORDS_MIN:
            yield f"{source.path}:{node.lineno}: {node.name}: a test's name is a sentence that can be false"


def source_arithmetic(source: SourceFile) -> Iterator[str]:
    """How topic and partition make one number is known in one place."""
    if source.path == SOURCE_NUMBERS or not source.path.startswith("streams/"):
        return
    for node in source.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.FloorDiv | ast.Mod | ast.BitOr):
            operands = [node.left, node.right]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "divmod":
            operands = node.args
        else:
            continue
        if any(isinstance(one, ast.Name | ast.Attribute) and ast.unparse(one).endswith(LIMIT) for one in operands):
            yield f"{source.path}:{node.lineno}: arithmetic with {LIMIT}: {SOURCE_NUMBERS} has functions for it"


RULES: tuple[Rule, ...] = (
    long_files,
    long_functions,
    impure_core,
    inexact_core,
    leftovers,
    pickles,
    missing_docstrings,
    wordless_tests,
    source_arithmetic,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule: Rule) -> None:
    complaints = [complaint for source in files() for complaint in rule(source)]
    assert not complaints, "\n" + "\n".join(complaints)


CLEAN = '''"""What it is."""


def total(values: tuple[int, ...]) -> int:
    """Return the sum of `values`."""
    return sum(values)
'''
LONG_DOCSTRING = '"""Module."""\ndef f():\n    """Say much.\n' + "    >>> 1\n    1\n" * 60 + '    """\n    return 1\n'

PLANTED: list[tuple[str, Rule, str, str, str]] = [
    ("a file of 401 lines", long_files, "streams/a.py", "x = 1\n" * 401, "second noun"),
    ("a function of 71 lines", long_functions, "tests/a.py", "def f():\n" + "    x = 1\n" * 70, "71 lines"),
    ("a method of 71 lines", long_functions, "streams/a.py", "class A:\n def f(s):\n" + "  x = 1\n" * 70, "71 lines"),
    ("the clock by its module", impure_core, "streams/core/a.py", "import time\ntime.time_ns()", "time.time_ns()"),
    ("the clock by its name", impure_core, "streams/core/a.py", "monotonic()", "event time"),
    ("datetime.now", impure_core, "streams/core/a.py", "datetime.now(UTC)", "event time"),
    ("date.today behind a module", impure_core, "streams/core/a.py", "datetime.date.today()", "today()"),
    ("a random choice", impure_core, "streams/core/a.py", "random.choice([1])", "random.choice()"),
    ("a generator's number", impure_core, "streams/core/a.py", "rng.random()", "randomness"),
    ("hash of a string", impure_core, "streams/core/a.py", "hash('a')", "hashlib"),
    ("open", impure_core, "streams/core/a.py", "open('f')", "open() in the core"),
    ("reading a path", impure_core, "streams/core/a.py", "path.read_text()", "read_text()"),
    ("print", impure_core, "streams/core/a.py", "def f():\n    print(1)", "print() in the core"),
    ("an async function", impure_core, "streams/core/a.py", "async def f(): pass", "awaits nothing"),
    ("a logarithm", inexact_core, "streams/core/a.py", "from math import log1p, sqrt", "log1p of the C library"),
    ("an exponential", inexact_core, "streams/core/a.py", "import math\nmath.exp(1.0)", "exp of the C library"),
    ("a power of a variable", inexact_core, "streams/core/a.py", "x = y**2", "** of the C library"),
    ("a power of fractions", inexact_core, "streams/core/a.py", "x = 2**0.5", "** of the C library"),
    ("a power by its name", inexact_core, "streams/core/a.py", "pow(x, y)", "pow of the C library"),
    ("a note to oneself", leftovers, "tests/a.py", "# " + LEFTOVERS[0] + " later", "finish it"),
    ("a stub", leftovers, "streams/a.py", "raise " + LEFTOVERS[3], "finish it"),
    ("a pickle", pickles, "streams/a.py", "import pickle", "plain data"),
    ("a pickle by a part", pickles, "streams/a.py", "from pickle import loads", "plain data"),
    ("a module without a docstring", missing_docstrings, "streams/a.py", "x = 1", "does not say"),
    ("a function without one", missing_docstrings, "streams/a.py", '"""M."""\ndef f(): ...', "f has no"),
    ("a class without one", missing_docstrings, "streams/a.py", '"""M."""\nclass A: ...', "A has no"),
    ("a method without one", missing_docstrings, "streams/a.py", '"M"\nclass A:\n "A"\n def m(s): ...', "m has no"),
    ("a topic's number by hand", source_arithmetic, "streams/a.py", "n = source // PARTITIONS_MAX", "has functions"),
    ("both numbers by hand", source_arithmetic, "streams/a.py", "divmod(s, source.PARTITIONS_MAX)", "has functions"),
    ("a source by hand", source_arithmetic, "streams/a.py", "s = 2 * PARTITIONS_MAX + 1", "has functions"),
    ("a test named by a number", wordless_tests, "tests/test_a.py", "def test_case_1(): ...", "sentence"),
]

ALLOWED: list[tuple[str, Rule, str, str]] = [
    ("a file of 400 lines", long_files, "streams/a.py", "x = 1\n" * 400),
    ("a function of 70 lines", long_functions, "streams/a.py", "def f():\n" + "    x = 1\n" * 69),
    ("a long docstring", long_functions, "streams/a.py", LONG_DOCSTRING),
    ("a clock outside the core", impure_core, "streams/engine/a.py", "import time\ntime.time()"),
    ("a field called hash", impure_core, "streams/core/a.py", "class A:\n    hash: str\nA.hash"),
    ("roots and rounding", inexact_core, "streams/core/a.py", "from math import floor, fsum, frexp, isqrt, sqrt"),
    ("a power of whole numbers", inexact_core, "streams/core/a.py", "x = 2**64"),
    ("a logarithm outside the core", inexact_core, "streams/engine/a.py", "from math import log"),
    ("a private function without a docstring", missing_docstrings, "streams/a.py", '"""M."""\ndef _f(): ...'),
    ("a source's number where it is made", source_arithmetic, SOURCE_NUMBERS, "s = 2 * PARTITIONS_MAX + 1"),
    ("a bound on partitions", source_arithmetic, "streams/a.py", "most = PARTITIONS_MAX - 1"),
    ("a test with a sentence", wordless_tests, "tests/test_a.py", "def test_a_repeat_adds_nothing(): ..."),
    ("a helper of tests with a short name", wordless_tests, "tests/test_a.py", "def make(): ..."),
]


@pytest.mark.parametrize(("rule", "path", "text", "expected"), [c[1:] for c in PLANTED], ids=[c[0] for c in PLANTED])
def test_a_planted_offence_is_found_and_named(rule: Rule, path: str, text: str, expected: str) -> None:
    complaints = list(rule(parse(path, text)))
    assert len(complaints) == 1
    assert expected in complaints[0]
    assert path in complaints[0]


@pytest.mark.parametrize(("rule", "path", "text"), [c[1:] for c in ALLOWED], ids=[c[0] for c in ALLOWED])
def test_what_is_allowed_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule(parse(path, text))) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_clean_file_of_the_core_satisfies_every_rule(rule: Rule) -> None:
    assert list(rule(parse("streams/core/a.py", CLEAN))) == []


def type_aliases(source: SourceFile) -> Iterator[str]:
    """Yield the names of the literals and annotated types that a module defines."""
    for node in source.tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Subscript(value=ast.Name(id="Literal" | "Annotated")),
            ):
                yield name


def test_a_type_is_defined_in_one_module() -> None:
    """`Language` is the exception: settings may import nothing, and a test compares the two."""
    where: dict[str, list[str]] = {}
    for source in files():
        if source.path.startswith("streams/"):
            for name in type_aliases(source):
                where.setdefault(name, []).append(source.path)
    assert [name for name, paths in where.items() if len(paths) > 1] == ["Language"], where


def test_every_package_and_data_file_of_streams_is_named_in_pyproject() -> None:
    """What is not named is missing from an installed package although it works in a clone."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    beside: dict[str, str] = setuptools["package-dir"]
    inside = {path.parent for path in (ROOT / "streams").rglob("__init__.py")}
    packages = {path.relative_to(ROOT).as_posix().replace("/", ".") for path in inside}
    assert sorted(packages | set(beside)) == setuptools["packages"]

    shipped = {
        path
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
        for path in (ROOT / beside.get(package, package.replace(".", "/"))).glob(pattern)
    }
    present = {path for path in (ROOT / "streams").rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert present | set((ROOT / "schemas/topics").iterdir()) == shipped


def test_every_pin_is_exact_and_covers_what_the_package_needs_to_run() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and "@" not in line and "/" not in line for line in pins)
    pinned = {line.split("==")[0].lower() for line in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.split(r"[\[=><~]", requirement)[0]
        assert name.lower() in pinned


def test_the_changelog_and_the_installed_package_have_the_version_of_pyproject() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert version("forewarn") == declared
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## [Unreleased]" in changelog or f"## [{declared}]" in changelog
