-- Takes one follow-up that is due: what has to be called of a job that ended without its process.
--
-- KEYS   1 follow-ups  2 events
--        and, by name, the hashes of the jobs
-- ARGV   1 RQ's prefix  2 seconds until it is due again, unless it is done  3 how often it may be begun
--        4 now, ISO 8601  5… queues
-- RETURN nil, or {member as it is now, kind, token, id, queue, the job's hash, flat, in MessagePack}
--
-- GUARANTEE  Each is begun at least once as long as its job is kept, and as often as ARGV[3] says at most. It stays until
--            it is done: one whose host or process is gone becomes due again. The job is not changed.
-- include announce
-- include follow_up
local now = tonumber(redis.call('TIME')[1])
local serves = {}
for i = 5, #ARGV do
  serves[ARGV[i]] = true
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 100)) do
  local kind, runs, token, id = string.match(member, '^(%l+)|(%d+)|([^|]*)|(.*)$')
  local hash = id and redis.pcall('HGETALL', ARGV[1] .. ':job:' .. id) or { err = 'no follow-up' }
  local queue
  for i = 1, #hash, 2 do
    if hash[i] == 'origin' then
      queue = hash[i + 1]
    end
  end
  if not queue then -- the job is gone, or unreadable
    redis.call('ZREM', KEYS[1], member)
  elseif serves[queue] then
    redis.call('ZREM', KEYS[1], member)
    if tonumber(runs) < tonumber(ARGV[3]) then
      local taken = table.concat({ kind, tonumber(runs) + 1, token, id }, '|')
      redis.call('ZADD', KEYS[1], now + ARGV[2], taken)
      redis.call('EXPIRE', KEYS[1], FOLLOW_UPS_KEPT_SECONDS)
      return { taken, kind, token, id, queue, cmsgpack.pack(hash) }
    end
    announce(KEYS[2], ARGV[4], 'follow_up.given_up', 'job', id, 'queue', queue, 'kind', kind, 'times', runs)
  end
end
return nil
