-- The first lines of every script that only the leader may run: KEYS[1] is the coordinator's key, ARGV[1] the value that
-- the caller leads with. Returns nil (nothing written) to a caller that leads no more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
