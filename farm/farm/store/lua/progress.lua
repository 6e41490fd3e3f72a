-- Keeps how far running jobs have come, as their code says.
--
-- KEYS   1 identities  2 running
--        and, by name, the jobs' hashes
-- ARGV   1 host  2 identity  3 RQ's prefix  4… id, token, progress
-- RETURN number of jobs written, -1 if the lease is gone
--
-- GUARANTEE  Only for leases that this host holds, and never for a job that was deleted: nothing is recreated. A key of
--            the wrong type is passed over: what is only shown must not hold up a beat.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return -1
end
local written = 0
for i = 4, #ARGV, 3 do
  local lease = redis.call('HGET', KEYS[2], ARGV[i])
  local key = ARGV[3] .. ':job:' .. ARGV[i]
  if lease and string.match(lease, '^[^|]*') == ARGV[i + 1] and redis.call('EXISTS', key) == 1 then
    redis.pcall('HSET', key, 'farm_progress', ARGV[i + 2])
    written = written + 1
  end
end
return written
