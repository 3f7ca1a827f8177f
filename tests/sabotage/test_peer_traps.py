"""Every trap of the field has a guard here, and a test that fails without it.

`make test` checks that the table fits the code. `make traps` takes each guard away in turn, in a
copy of the tree, and runs the tests that have to miss it.
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache

import pytest

from . import traps_breaker, traps_errors, traps_orders, traps_retry
from .mutant import ROOT, Outcome, Tree
from .traps import NOT_APPLICABLE, ROWS, Trap

TRAPS: tuple[Trap, ...] = (
    *traps_breaker.TRAPS,
    *traps_retry.TRAPS,
    *traps_errors.TRAPS,
    *traps_orders.TRAPS,
)

each_trap = pytest.mark.parametrize(
    "trap", TRAPS, ids=lambda trap: f"{trap.row} {trap.without}".replace("§", "").replace(" ", "-")
)


def test_every_row_of_the_survey_has_a_guard_or_a_reason() -> None:
    """§0 has seven probes and eleven more findings, §2 has twenty-two rows."""
    numbers = {row.split()[0] for row in ROWS} - {"done"}
    assert numbers == {f"§0.{n}" for n in range(1, 19)} | {f"§2.{n}" for n in range(1, 23)}
    assert {trap.row for trap in TRAPS} | set(NOT_APPLICABLE) == set(ROWS)
    assert not {trap.row for trap in TRAPS} & set(NOT_APPLICABLE)
    assert set(Counter(f"{trap.row} {trap.without}" for trap in TRAPS).values()) == {1}


@each_trap
def test_the_guard_is_there_and_so_are_the_tests_that_have_to_miss_it(trap: Trap) -> None:
    source = (ROOT / trap.file).read_text()
    assert source.count(trap.old) == 1
    assert trap.file.startswith("foxtrot/")
    compile(source.replace(trap.old, trap.new), trap.file, "exec")
    assert trap.tests
    for test in trap.tests:
        file, _, name = test.partition("::")
        assert name.partition("[")[0] in _tests_of(file)


@cache
def _tests_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in tree.body if isinstance(node, kinds))


def test_mutant_that_is_misspelt_or_breaks_before_its_test_proves_nothing() -> None:
    outcome = Outcome(
        exit_code=1,
        output="",
        failed=(
            ("a::misspelt", "call", "NameError"),
            ("a::unmade", "setup", "AssertionError"),
            ("a::missed[1]", "call", "AssertionError"),
        ),
    )
    tests = ("a::misspelt", "a::unmade", "a::missed", "a::missed[1]", "a::missed[2]", "a::mis")
    assert [test for test in tests if outcome.has_failed(test)] == ["a::missed", "a::missed[1]"]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """One copy for all mutants of a process: each is mended again."""
    return Tree(tmp_path_factory.mktemp("tree"))


@pytest.mark.mutation
def test_nothing_fails_while_every_guard_is_there(tree: Tree) -> None:
    tests = tuple(dict.fromkeys(test for trap in TRAPS for test in trap.tests))
    outcome = tree.test(tests)
    assert outcome.exit_code == pytest.ExitCode.OK, outcome.output
    assert [test for test in tests if not outcome.has_passed(test)] == []


@pytest.mark.mutation
@each_trap
def test_without_the_guard_its_tests_fail(trap: Trap, tree: Tree) -> None:
    """By what they find, while they run: not by an import, nor by a misspelt name."""
    with tree.broken(trap):
        outcome = tree.test(trap.tests)
    assert outcome.exit_code == pytest.ExitCode.TESTS_FAILED, outcome.output
    assert [test for test in trap.tests if not outcome.has_failed(test)] == []
