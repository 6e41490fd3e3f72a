-- Adds one entry to the stream of rare events, for what has no script of its own.
--
-- KEYS   1 events
-- ARGV   1 now, ISO 8601  2 event  3… name, value, …
-- RETURN 1
--
-- GUARANTEE  Written on a full Redis, too, where the server knows script flags: that it is full is such an event.
-- include announce
announce(KEYS[1], ARGV[1], ARGV[2], unpack(ARGV, 3))
return 1
