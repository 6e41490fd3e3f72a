"""`make bench`: how fast, how dear, how quiet. Measures and prints; asserts nothing, as a benchmark is no test.

usage: python tests/bench [--rounds N] [--jobs N] [--idle-seconds N] [--json]
"""

import argparse
import json
import os

import drain
import fresh
import idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates, costs = drain.drain(options.rounds, options.jobs)
    shares = idle.idle(options.rounds, options.idle_seconds)
    forks = fresh.fresh(options.rounds)
    if options.json:
        figures = {"jobs_per_second": rates, "cpu_microseconds_per_job": costs, "idle_percent": shares, "fresh": forks}
        print(json.dumps(figures))
        return
    print(f"{os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f}, Redis with AOF")
    drain.report(options.jobs, rates, costs)
    idle.report(shares)
    fresh.report(forks)


if __name__ == "__main__":
    main()
