-- Needs `-- include whereabouts` before it.
-- What counts as left over. `job` is {status, origin, worker_name, enqueued_at, has data 0/1}, as `read_job` gives it.

-- The fields of a job, or nil for what is no hash.
local function read_job(prefix, id)
  local key = prefix .. ':job:' .. id
  local job = redis.pcall('HMGET', key, 'status', 'origin', 'worker_name', 'enqueued_at')
  if job.err then return nil end
  job[5] = redis.call('HEXISTS', key, 'data')
  return job
end

-- Started, and nobody runs it: no host has its lease, its worker is gone, and RQ's record of the run is over.
local function is_abandoned(ask, id, job)
  local queue, worker = job[2], job[3] or ''
  return job[1] == 'started' and job[5] == 1 and queue and queue ~= '' and not ask.is_leased(id, worker)
    and not ask.is_served_elsewhere(worker) and not ask.is_executed(id, queue) and not ask.is_set_aside(id)
end

-- Queued, and nowhere: in no list, no inbox, not running.
local function is_missing(ask, id, job)
  local queue = job[2]
  return job[1] == 'queued' and job[5] == 1 and queue and queue ~= '' and ask.is_overdue(job[4], queue)
    and not ask.is_placed(id) and ask.is_listed(id, queue) == false and not ask.is_leased(id, job[3])
    and not ask.is_executed(id, queue) and not ask.is_set_aside(id)
end

-- A record that no worker can run and that does not expire: no payload, or waiting for no queue.
local function is_stump(ask, prefix, id, job)
  if job[5] == 1 and (job[2] and job[2] ~= '' or job[1] ~= 'queued' and job[1] ~= 'started') then return false end
  return redis.call('PTTL', prefix .. ':job:' .. id) == -1 and not ask.is_set_aside(id)
    and not ask.is_leased(id, job[3])
end
