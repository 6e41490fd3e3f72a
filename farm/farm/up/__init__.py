"""Everything in one terminal: a private Redis, a coordinator and hosts as children, supervised by `farm up`."""
