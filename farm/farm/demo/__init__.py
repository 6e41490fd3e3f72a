"""The main job on real input, for people to see: `farm demo`.

The source files of the Python standard library are indexed by two hosts while their load rises and falls and one of
them is killed. Nothing is simulated: a private Redis, a coordinator, two hosts and a service are real processes.

`service` holds what a user would write: the job, the load function, and the program that enqueues with plain rq. It is
no package of ours: hosts find it by `FARM_PATH`, and nothing here imports it.
"""
