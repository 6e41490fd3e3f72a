"""What runs in the environments of the peers: jobs, one adapter for each system, and the producer that drives it.

Modules here import each other by their bare names, as the peers' commands find them in their working folder.
"""
