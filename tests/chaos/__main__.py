"""`python -m tests.chaos --seed N --seconds S`: one chaos run. Exit code 1 if there is any finding."""

import argparse
import sys

from tests.chaos.driver import Options, run
from tests.support import leaks


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--processes", type=int, default=3, help="of each of the three hosts")
    parser.add_argument("--everysec", action="store_true", help="kills of Redis lose up to a second of writes")
    given = parser.parse_args()
    leaks.mark_processes()
    report = run(Options(given.seed, given.seconds, given.processes, everysec=given.everysec))
    print(report.text)
    return 1 if report.verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
