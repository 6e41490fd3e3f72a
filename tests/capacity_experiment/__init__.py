"""Whether what `farm capacity` says is what a real host then sustains: `make capacity-check`."""
