"""Runs a model of Hypothesis: the same examples each time, and nothing about how long they take."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_model(model: type[RuleBasedStateMachine], examples: int, steps: int = 40) -> None:
    """So many examples, of so many steps at most. Raises what fails."""
    run_state_machine_as_test(
        model,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
