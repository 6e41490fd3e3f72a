-- give_back(prefix, id, expected) → outcome, detail. Puts one job back at the HEAD of its queue (field `origin`).
-- To keep the order of several, give back the last one first.
--   prefix    of RQ's keys
--   expected  'queued': the holder never started it, so a job that is started by now belongs to somebody else and is
--             dropped. Anything else: both queued and started jobs go back.
-- Outcomes:
--   'queued', queue        back in its queue, status queued, no start time, no worker
--   'dropped', why         nothing written: the record is gone, or it was canceled, finished, scheduled … meanwhile
--   'unreadable', why      nothing written: record or queue of the wrong type, or no origin. The caller quarantines it.
-- `enqueued_at` stays: the job's waiting time goes on. A time to live that its start removed is not put back.
local function give_back(prefix, id, expected)
  local job = prefix .. ':job:' .. id
  local fields = redis.pcall('HMGET', job, 'status', 'origin')
  if fields.err then return 'unreadable', 'the record is not a hash' end
  local status, origin = fields[1], fields[2]
  if not status and redis.call('EXISTS', job) == 0 then return 'dropped', 'gone' end
  if status ~= 'queued' and (status ~= 'started' or expected == 'queued') then
    return 'dropped', status or 'no status'
  end
  if not origin or origin == '' then return 'unreadable', 'the record names no queue (origin)' end
  local pushed = redis.pcall('LPUSH', prefix .. ':queue:' .. origin, id)
  if type(pushed) == 'table' then
    if not string.find(pushed.err, 'WRONGTYPE', 1, true) then error(pushed.err) end
    return 'unreadable', 'the key of queue ' .. origin .. ' is not a list'
  end
  redis.call('HSET', job, 'status', 'queued', 'started_at', '', 'worker_name', '')
  redis.pcall('SADD', prefix .. ':queues', prefix .. ':queue:' .. origin)
  return 'queued', origin
end
