"""The processes of a host: `pool` keeps them, `process` is the parent's handle on one, `child` is its body."""
