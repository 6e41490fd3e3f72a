-- Fails jobs that were deferred for longer than the owner of the farm allows (MAX_DEFERRAL_ACTION=fail).
--
-- KEYS   1 coordinator  2 queue  3 deferred index  4 counts  5 dependents
--        and, by name, the jobs' hashes, registries, results, rate limits
-- ARGV   1 own value  2 queue's name  3 RQ's prefix  4 MAX_DEFERRAL seconds  5 how many at most  6 text of the failure
-- RETURN nil to a caller that does not lead, else how many were failed
--
-- GUARANTEE  A job fails in the same step in which its id leaves the queue. An id that is not in the queue, or whose status
--            is not `queued`, only leaves the index.
-- include leads
-- include clock
-- include release_dependents
-- include fail_job
local now, now_iso = read_clock()
local failed = 0
local late = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[4]), 'LIMIT', 0, ARGV[5])
for _, id in ipairs(late) do
  local status = redis.pcall('HGET', ARGV[3] .. ':job:' .. id, 'status')
  if status == 'queued' and redis.call('LREM', KEYS[2], 1, id) == 1 then
    failed = failed + 1
    redis.pcall('HINCRBY', KEYS[4], 'failed', 1)
    if fail_job(ARGV[3], id, ARGV[2], ARGV[6], '', '', now, now_iso) > 0 then
      redis.call('ZADD', KEYS[5], now, 'failed:' .. id)
    end
  end
  redis.call('ZREM', KEYS[3], id)
end
return failed
