"""The farm's decisions on machines that are only numbers, to see in seconds what a policy makes of minutes.

Real are the pure modules: placement, ramp, deferral, admission, the smoothing of the load. Simulated is what they are
fed with: machines whose CPUs are shared by those who run on them, other programs, jobs, and the second between two
beats, in which the coordinator knows only what the last one said.

`make simulate` writes docs/placement.svg, and the numbers in docs/placement.md. What a scenario gives is decided by its
seed: the same numbers on each machine.

machine.py   CPUs shared by jobs and other programs
host.py      a host: processes, load, admission, beats
arrivals.py  when jobs come, and what they cost
policies.py  our placement, and three that are simpler
farm.py      one run: hosts, queues, the coordinator's rounds
ledger.py    what happened to each job, and whether it had a cause
results.py   waits, loads, overshoot, utilisation, spread
scenarios.py what is compared
picture.py   how it is drawn
"""
