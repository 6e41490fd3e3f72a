"""What the demo found in the end, and whether that is what it promises."""

from dataclasses import dataclass

from farm.demo.results import Results


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers of the last line, and the results behind them."""

    enqueued: int
    """By the service's own list."""
    deferred: int
    """Ids in the index while the load said that both hosts are full."""
    recovered: int
    """Jobs given back from the killed host."""
    results: Results
    seconds: float

    @property
    def last_line(self) -> str:
        """The numbers, for people and for checks."""
        return (
            f"demo: enqueued={self.enqueued} finished={len(self.results.files)} failed={len(self.results.failures)} "
            f"lost={len(self.results.lost)} deferred={self.deferred} recovered={self.recovered}"
        )

    def problems(self) -> list[str]:
        """What is not as promised, as sentences; empty if all is well."""
        results = self.results
        problems = []
        accounted_for = len(results.files) + len(results.failures) + len(results.lost)
        if accounted_for != self.enqueued:
            problems.append(f"{self.enqueued} jobs were enqueued, and {accounted_for} are accounted for")
        if results.lost:
            problems.append(f"{len(results.lost)} jobs have no outcome, as {results.lost[0]}")
        if results.failures:
            problems.append(f"{len(results.failures)} jobs failed, as {results.failures[0]}")
        if not self.deferred:
            problems.append("no job was seen deferred while both hosts were full")
        if not self.recovered:
            problems.append("no job was given back from the killed host")
        return problems
