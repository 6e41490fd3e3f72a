"""The worker host: a pool of warmed processes that runs the jobs placed on it. Start reading in `host`."""
