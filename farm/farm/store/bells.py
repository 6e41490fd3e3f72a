"""What a host's bell says."""

RESERVED = b"reserved"
"""It may take jobs of other queues than before. Anything else: something was placed."""
