"""The shape of the code, read off its sources: who imports whom, what is public, what is pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("foxtrot", "harness")
MAX_LINES = 460

#: Beside the standard library. What an extra brings has one module of its own.
CORE_MAY_IMPORT = {"foxtrot", "structlog"}
OF_ONE_MODULE = {
    "ccxt": "foxtrot.adapter.ccxt_adapter",
    "opentelemetry": "foxtrot.telemetry.opentelemetry",
    "prometheus_client": "foxtrot.telemetry.prometheus",
}

#: What reads a history, and what makes one. Between them is the history and nothing else.
DOWNSTREAM = (
    "bare_facts", "blotter", "control", "coverage", "facts", "incidents", "metrics", "mix",
    "oracles", "parity", "plan", "report", "results", "timeline", "verdict",
)  # fmt: skip
UPSTREAM = (
    "foxtrot.adapter", "foxtrot.server", "harness.arms", "harness.batch", "harness.books",
    "harness.faults", "harness.kernel", "harness.live", "harness.nemesis", "harness.network",
    "harness.prices", "harness.probe", "harness.recorder", "harness.run", "harness.toxiproxy",
    "harness.venue", "harness.virtual_loop", "harness.wire", "harness.workload", "harness.world",
)  # fmt: skip


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> dict[str, Module]:
    """Every module of both packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path, ast.parse(path.read_text(), str(path)))
    return found


def under(*names: str) -> list[Module]:
    """These modules, and those inside of them."""
    return [m for m in modules().values() if any(_is_in(m.name, name) for name in names)]


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def imports(module: Module, *, everywhere: bool = True) -> Iterator[str]:
    """The dotted names that a module imports; without `everywhere`, only when it is loaded."""
    for node in _statements(module.tree, everywhere=everywhere):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)


def _statements(tree: ast.AST, *, everywhere: bool) -> Iterator[ast.AST]:
    if everywhere:
        yield from ast.walk(tree)
        return
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _statements(node, everywhere=False)


def test_there_is_something_to_look_at():
    assert len(modules()) > 60
    assert {name.partition(".")[0] for name in modules()} == set(PACKAGES)


class TestImports:
    def test_the_core_knows_nothing_of_the_harness(self):
        back = [(m.name, n) for m in under("foxtrot") for n in imports(m) if _is_in(n, "harness")]
        assert back == []

    def test_the_core_depends_on_structlog_and_the_standard_library_alone(self):
        foreign = [
            (module.name, name)
            for module in under("foxtrot")
            for name in imports(module)
            if (top := name.partition(".")[0]) not in {*sys.stdlib_module_names, *CORE_MAY_IMPORT}
            and OF_ONE_MODULE.get(top) != module.name
        ]
        assert foreign == []

    def test_nothing_needs_an_extra_beside_the_module_it_is_for(self):
        extra = OF_ONE_MODULE.values()
        assert [(m.name, n) for m in under("foxtrot") for n in imports(m) if n in extra] == []

    def test_no_modules_import_each_other_in_a_circle(self):
        graph = {
            name: {n for n in imports(module, everywhere=False) if n in modules() and n != name}
            for name, module in modules().items()
        }
        assert _circle(graph) == []

    def test_what_reads_a_history_imports_nothing_of_what_makes_one(self):
        """A history stored yesterday on another machine gives the same verdict today."""
        readers = under(*(f"harness.{name}" for name in DOWNSTREAM))
        assert len(readers) > 20
        up = [
            (module.name, name)
            for module in readers
            for name in imports(module)
            if any(_is_in(name, upstream) for upstream in UPSTREAM)
        ]
        assert up == []

    def test_every_module_of_the_harness_is_on_one_side_or_between(self):
        """A new one is put on its side here, so that the rule above goes on to mean something."""
        between = {
            "__main__", "_locate", "_loop_parts", "_scenario_check", "_scenario_model",
            "_scenario_schema", "campaign", "cli", "history", "manifest", "policy_options",
            "scenario", "sources", "stored", "terminal", "units",
        }  # fmt: skip
        tops = {m.name.split(".")[1] for m in under("harness") if "." in m.name}
        sided = {*DOWNSTREAM, *(n.split(".")[1] for n in UPSTREAM if n.startswith("harness."))}
        assert tops - sided <= between, "say above on which side of the history it is"


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """Some modules that import each other in a circle; none if there is no circle."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if found := visit(other, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := visit(name, []))), [])


def test_a_circle_is_found():
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def written() -> list[Module]:
    """All but empty files: an empty `__init__.py` only makes a folder a package."""
    return [module for module in modules().values() if module.tree.body]


def test_a_module_begins_by_saying_its_subject_in_a_sentence():
    firsts = {
        str(module): (ast.get_docstring(module.tree) or "").partition("\n\n")[0].rstrip()
        for module in written()
    }
    assert {name for name, first in firsts.items() if len(first.split()) < 4} == set()
    assert {name for name, first in firsts.items() if not first.endswith((".", ":", "?"))} == set()


def test_a_file_has_one_subject_and_is_not_long():
    lengths = {str(m): len(m.path.read_text().splitlines()) for m in modules().values()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


class TestExports:
    """`__all__` is sorted, and holds what is there for others and nothing else."""

    def test_there_is_a_list_in_every_module_that_offers_anything(self):
        without = [str(m) for m in written() if _told(m) is None]
        assert [name for name in without if not name.endswith("__init__.py")] == []
        alone = [m for m in written() if _told(m) is None and len(m.tree.body) > 1]
        assert list(map(str, alone)) == []

    def test_it_is_sorted_and_names_nothing_twice(self):
        lists = {str(module): _told(module) or [] for module in written()}
        unsorted = [n for n, told in lists.items() if told != sorted(set(told), key=_as_sorted)]
        assert unsorted == []

    def test_what_it_names_is_there(self):
        missing = [
            (str(module), name)
            for module in written()
            for name in _told(module) or []
            if name not in {*_defined(module), *_imported_names(module), *_submodules(module)}
        ]
        assert missing == []

    def test_it_names_all_that_others_use_and_all_that_looks_public(self):
        """Each class and function without an underscore, and whatever another module imports.

        A command of the command line is for its user, not for importers.
        """
        unnamed = [
            (str(module), name)
            for module in written()
            for name in sorted(
                _made_for_others(module) | _taken_by_others().get(module.name, set())
            )
            if _told(module) is not None
            if name not in {*(_told(module) or []), *_submodules(module)}
        ]
        assert unnamed == []


def _made_for_others(module: Module) -> set[str]:
    return {
        node.name
        for node in module.tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if not node.name.startswith("_")
        if not any(ast.unparse(each).startswith("app.command") for each in node.decorator_list)
    }


@cache
def _taken_by_others() -> dict[str, set[str]]:
    """What is imported by name from each module."""
    taken: dict[str, set[str]] = {}
    for module in modules().values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom) and node.module in modules():
                taken.setdefault(node.module, set()).update(alias.name for alias in node.names)
    return taken


def _told(module: Module) -> list[str] | None:
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def _as_sorted(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the order that ruff's RUF022 keeps."""
    if name.isupper():
        return (0, name)
    return (1 if name[:1].isupper() else 2, name)


def _defined(module: Module) -> set[str]:
    names: set[str] = set()
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names - {"__all__"}


def _imported_names(module: Module) -> Iterator[str]:
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)


def _submodules(module: Module) -> set[str]:
    inside = f"{module.name}."
    return {name.removeprefix(inside) for name in modules() if name.startswith(inside)}


class TestState:
    def test_a_module_keeps_none(self):
        """Two worlds in one process must not notice each other.

        A list, dict or set at the top of a module is a constant if its name says so (capitals,
        underscore or not) and nothing in the module changes it; `global` needs its reason on
        the line.
        """
        assert [(str(m), *what) for m in modules().values() for what in _kept_state(m)] == []

    def test_what_counts_as_state(self):
        def kept(source):
            return [what for _, what in _kept_state(_module_of(source))]

        assert kept("CASH = {}\n_cache = {}\nNAMES: list = []\n") == ["_cache = {}"]
        assert kept("_SEEN = {}\ndef f(): _SEEN['a'] = 1\n") == ["_SEEN['a'] = 1"]
        assert kept("_SEEN = []\ndef f(): _SEEN.append(1)\n") == ["_SEEN.append(1)"]
        assert kept("_seen = set()\n") == ["_seen = set()"]
        assert kept("x = None\ndef f():\n    global x\n    x = 1\n") == ["global x"]
        assert kept("T = {'a': 1}\ndef f(): return T['a']\n") == []


def _module_of(source: str) -> Module:
    return Module("probe", ROOT / "probe.py", ast.parse(source))


_CONTAINERS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MAKERS = {"list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict", "bytearray"}
_CHANGES = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem",
    "popleft", "remove", "setdefault", "update",
}  # fmt: skip

#: `global` with a reason: a worker process has one array to tell how far it is, handed to it at
#: its birth by the pool, which has no other way to share.
_GLOBALS = {("harness.batch", "global _shares")}


def _kept_state(module: Module) -> Iterator[tuple[int, str]]:
    constants = set()
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not _is_container(node.value):
            continue
        name = ast.unparse(targets[0])
        if name == "__all__":
            continue
        if name.lstrip("_").isupper():
            constants.add(name)
        else:
            yield node.lineno, ast.unparse(node)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            if (module.name, ast.unparse(node)) not in _GLOBALS:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call | ast.stmt) and _changed(node) in constants:
            yield node.lineno, ast.unparse(node)


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2] in _MAKERS
    return isinstance(value, _CONTAINERS)


def _changed(node: ast.AST) -> str | None:
    """The name of what a statement or call changes in place."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return ast.unparse(node.func.value) if node.func.attr in _CHANGES else None
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
        for target in targets:
            if isinstance(target, ast.Subscript):
                return ast.unparse(target.value)
    return None


#: What would make two runs of one seed differ, by its dotted name; a trailing dot covers all in it.
FORBIDDEN = (
    "time.", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today",
    "datetime.date.today", "random.", "uuid.", "secrets.", "os.urandom", "os.getpid", "os.times",
    "threading.Thread", "threading.Timer", "concurrent.futures.", "multiprocessing.",
    "asyncio.to_thread",
)  # fmt: skip
#: A generator of one's own is handed in and seeded, or made where a user hands in none.
HARMLESS = ("random.Random", "time.struct_time")

#: Where it is needed, and why nothing of a run can differ by it.
ALLOWED = {
    "foxtrot.util.retry": ("random.SystemRandom",),  # jitter, for who hands in no generator
    # For adapters that block, each call in a thread of its own, which the next step can find.
    "foxtrot.util._recovery_adapters": ("threading.Thread", "concurrent.futures."),
    "foxtrot.util.clock": ("time.", "datetime.datetime.now"),  # the real clock itself
    "foxtrot.util.errors": ("time.time_ns", "os.getpid"),  # ids; the recorder numbers them anew
    # One process for each world; beside it a thread that ends it when its parent is gone.
    "harness.batch": ("multiprocessing.", "concurrent.futures.", "threading.Thread"),
    "harness.stored": ("datetime.datetime.now",),  # the name of the folder for reports
}
#: Talks to real servers or threads in real time, and never runs inside a simulation.
OUTSIDE = (
    "foxtrot.adapter.ccxt_adapter", "foxtrot.adapter.upstream", "foxtrot.server.alert_sinks",
    "foxtrot.server.sync_engine", "harness.live", "harness.toxiproxy", "harness.wire",
)  # fmt: skip


class TestDeterminism:
    def test_time_and_chance_are_handed_in(self):
        outside = [module.name for module in under(*OUTSIDE)]
        simulated = [m for m in modules().values() if m.name not in outside]
        assert [(str(m), *what) for m in simulated for what in _draws(m)] == []

    def test_what_is_allowed_is_there(self):
        """An exception that nobody needs any more is taken back."""
        for name, patterns in ALLOWED.items():
            used = [what for _, what in _draws(modules()[name], allowed=())]
            assert all(any(_matches(what, (p,)) for what in used) for p in patterns), (name, used)

    def test_what_counts_as_drawing(self):
        def drawn(source):
            return [what for _, what in _draws(_module_of(source))]

        assert drawn("import time\ntime.monotonic()") == ["time.monotonic"]
        assert drawn("from time import time as now\nnow()") == ["time.time"]
        assert drawn("import datetime as dt\nx = dt.datetime.now(dt.UTC)") == [
            "datetime.datetime.now"
        ]
        assert drawn("from datetime import datetime\ndatetime.utcnow()") == [
            "datetime.datetime.utcnow"
        ]
        assert drawn("import random\nrandom.Random(3).random()\nrandom.random()") == [
            "random.random"
        ]
        assert drawn("from uuid import uuid4\nf = uuid4") == ["uuid.uuid4"]
        assert drawn("for x in {1, 2}: pass") == ["iterates {1, 2}"]
        assert drawn("[x for x in set(a) | b]") == ["iterates set(a) | b"]
        assert drawn("x = list(frozenset(a))") == ["iterates frozenset(a)"]
        assert drawn("for x in sorted(set(a)): pass\ny = len({1})\nz = 1 in {1}") == []
        assert drawn("self.time.now()\nclock.time()") == []
        assert drawn("hash('a')") == ["hash"]


def _draws(module: Module, *, allowed: tuple[str, ...] | None = None) -> Iterator[tuple[int, str]]:
    allowed = ALLOWED.get(module.name, ()) if allowed is None else allowed
    aliases = _aliases(module.tree)
    inner = {id(n.value) for n in ast.walk(module.tree) if isinstance(n, ast.Attribute)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner:
            name = _full_name(node, aliases)
            if name and _matches(name, FORBIDDEN) and not _matches(name, (*HARMLESS, *allowed)):
                yield node.lineno, name
        for iterated in _iterated(node):
            if _is_set(iterated):
                yield iterated.lineno, f"iterates {ast.unparse(iterated)}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "hash":
            yield node.lineno, "hash"


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == p or (p.endswith(".") and name.startswith(p)) for p in patterns)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.asname or a.name.partition(".")[0]: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def _full_name(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """The dotted name, with what the first part was imported as; None for anything else."""
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return None
    return ".".join([aliases[node.id], *rest])


def _iterated(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield node.iter
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"list", "tuple", "iter", "next"}:
        yield from node.args[:1]


def _is_set(node: ast.expr) -> bool:
    """Whether an expression is a set by its form: types would be needed to know more."""
    if isinstance(node, ast.BinOp):
        return _is_set(node.left) or _is_set(node.right)
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in {"set", "frozenset"}
    return isinstance(node, ast.Set | ast.SetComp)
