"""The coordinator: places jobs on hosts, defers what nobody can take, recovers what lost hosts held.

Any number of coordinators may run; one leads, the others wait. Nothing of what it knows is only in its memory.
"""
