"""How a host takes jobs and says how they ended."""
