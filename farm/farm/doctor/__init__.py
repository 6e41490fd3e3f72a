"""Checks of a farm and its Redis: facts in, findings out. Nothing writes, and nothing stops at what is forbidden."""
