"""The gate of RQ's own tests: its list, and its verdict."""

from tests.rq_suite.excused import EXCUSED, MOST
from tests.rq_suite.verdict import judge


def test_at_most_twelve_tests_are_excused_each_with_a_reason() -> None:
    assert MOST == 12
    assert len(EXCUSED) <= MOST
    for name, reason in EXCUSED.items():
        assert name.count("::") == 2
        assert len(reason.split()) > 4


def test_a_failure_is_excused_by_the_list_alone() -> None:
    verdict = judge({"a": True, "b": False}, {"a": "it replaces what is ours"})
    assert verdict.good
    assert verdict.excused == ("a",)
    assert not judge({"a": True, "b": False}, {}).good


def test_an_excused_test_that_passes_makes_the_gate_fail() -> None:
    verdict = judge({"a": False, "b": False}, {"a": "it replaces what is ours"})
    assert not verdict.good
    assert "take it off: a" in "\n".join(verdict.lines({"a": ""}))


def test_an_excused_test_that_is_gone_makes_the_gate_fail() -> None:
    assert not judge({"b": False}, {"a": "it replaces what is ours"}).good


def test_a_run_without_tests_is_no_success() -> None:
    assert not judge({}, {}).good
