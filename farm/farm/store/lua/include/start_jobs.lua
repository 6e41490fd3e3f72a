-- Starting jobs, for scripts that take their ids from somewhere. Reads locals of the script: `host`, `batch`, `rq_prefix`,
-- `counts_prefix`, `places` (quarantine, its reasons, events), `on_lost_from` (index in ARGV of ON_LOST of the host; after
-- it come queue, its ON_LOST, …). Needs `announce`, `quarantine`, `forget_crashes`, `clock`.
--
-- repeated(ids) → the jobs that this batch started, as `started_jobs`.
-- begin(id): starts a job that was taken from where it waited. What cannot be started is dropped or quarantined.
-- keep_started(running, receipts, receipt): writes the leases, and what a repeat of the batch is answered from.
-- keep_receipt(receipts, receipt): the second of these alone.
-- started_jobs, started_bytes, dropped: what came of it.
-- What the host is told of a job. Its hash is for the process that runs it: the host hands it on as it is.
local function described(id, lease, hash, told, is_large)
  return { id, lease, told.timeout or '', string.match(string.sub(told.description or '', 1, 200), '^[^(]*'),
    (told.success_callback_name or '') .. (told.failure_callback_name or '') == '' and '' or 'callbacks',
    cmsgpack.pack(hash), is_large and 'large' or '' }
end

-- To hand a payload of so many bytes on costs more than another round trip: it would be copied a dozen times on its way.
local LARGE, MOST_FIELDS = 32768, 1000
local was_large = true

local function read_all_but_payload(key)
  local names = redis.call('HKEYS', key)
  if #names > MOST_FIELDS then
    return nil
  end
  local hash, payload = {}, 0
  for i, name in ipairs(names) do
    hash[2 * i - 1] = name
    if name == 'data' then
      payload = i
      names[i] = ''
    end
  end
  for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do
    hash[2 * i] = value or ''
  end
  hash[2 * payload] = ''
  return hash
end

-- The hash of a job, flat, and the bytes of its payload if that is empty there. Large payloads come together: where the
-- one before was not large, nobody asks.
local function read(key)
  if was_large then
    local size = redis.pcall('HSTRLEN', key, 'data')
    was_large = type(size) == 'number' and size >= LARGE
    local hash = was_large and read_all_but_payload(key)
    if hash then
      return hash, size
    end
  end
  local hash = redis.pcall('HGETALL', key)
  return hash
end

local function repeated(running, ids)
  local jobs = {}
  for _, id in ipairs(ids) do
    local lease = redis.call('HGET', running, id)
    if lease and string.sub(lease, 1, 24) == batch then
      local hash, payload = read(rq_prefix .. ':job:' .. id)
      local told = {}
      if hash.err then
        hash = {}
      end
      for i = 1, #hash, 2 do
        told[hash[i]] = hash[i + 1]
      end
      jobs[#jobs + 1] = described(id, lease, hash, told, payload)
    end
  end
  return jobs
end

local time = redis.call('TIME')
local now, now_iso = time[1], to_iso(tonumber(time[1]), tonumber(time[2]))
-- Fence tokens are microseconds of the clock, or more: they go on growing when a record is deleted and made anew, and
-- when Redis comes back without its last writes.
local microseconds = time[1] * 1000000 + time[2]
local fence_now = string.format('%.0f', microseconds)
local LAST_WHOLE = 9007199254740991
-- Asked for each field of each job: one look is quicker than comparing with them all.
local looked_at = { status = true, origin = true, data = true, timeout = true, description = true,
  success_callback_name = true, failure_callback_name = true, farm_on_lost = true, farm_crashes = true,
  farm_losses = true, farm_progress = true, farm_fence = true, farm_ended = true }
local on_lost_of = {}
for i = on_lost_from + 1, #ARGV, 2 do
  on_lost_of[ARGV[i]] = ARGV[i + 1]
end

local started_jobs, started_ids, leases, dropped, started_bytes = {}, {}, {}, 0, 0

-- What was counted before the job ended is over, and the host must not see it either.
local function start_counts_anew(key, hash)
  forget_crashes(key)
  for i = 1, #hash, 2 do
    local name = hash[i]
    if name == 'farm_crashes' or name == 'farm_losses' or name == 'farm_evidence' or name == 'farm_ended' then
      hash[i + 1] = ''
    end
  end
end

local function next_fence(previous)
  local last = tonumber(previous)
  if last and last >= microseconds and last < LAST_WHOLE then
    return string.format('%.0f', last + 1)
  end
  return fence_now
end

local STATUSES = ' queued created finished failed started deferred scheduled stopped canceled rate_limited ready_to_enqueue '

local function runs_of(told)
  local runs = 1
  if not told.farm_crashes and not told.farm_losses then
    return runs
  end
  for _, name in ipairs({ 'farm_crashes', 'farm_losses' }) do
    local value = told[name]
    if value then -- whatever somebody wrote there
      runs = runs + (tonumber(string.match(value, '^%d%d?%d?%d?%d?%d?$') or '') or 0)
    end
  end
  return runs
end

local function drop(queue)
  dropped = dropped + 1
  if queue and queue ~= '' then
    redis.pcall('HINCRBY', counts_prefix .. queue, 'dropped', 1)
  end
end

local function begin(id)
  local key = rq_prefix .. ':job:' .. id
  local hash, payload = read(key)
  if hash.err then
    quarantine(places, id, 'the key of the job is not a hash', now, now_iso)
    return
  end
  local told = {}
  started_bytes = started_bytes + (payload or 0)
  for i = 1, #hash, 2 do
    local name, value = hash[i], hash[i + 1]
    started_bytes = started_bytes + #value
    if looked_at[name] then
      told[name] = value
    end
  end
  local status, queue = told.status, told.origin
  if status and status ~= 'queued' and not string.find(STATUSES, ' ' .. status .. ' ', 1, true) then
    quarantine(places, id, 'the status of the job is none that RQ knows', now, now_iso)
    return
  end
  -- `created`: somebody pushed the id of a job that was saved and never enqueued, as RQ lets one do.
  if #hash == 0 or (status ~= 'queued' and status ~= 'created' and status) then
    drop(queue)
    return
  end
  if not status or not told.data or not queue or queue == '' then
    quarantine(places, id, 'the hash of the job lacks status, data or origin', now, now_iso)
    return
  end
  local on_lost, runs = told.farm_on_lost, 1
  if on_lost ~= 'fail' and on_lost ~= 'rerun' then
    on_lost = on_lost_of[queue] or ARGV[on_lost_from]
  end
  if told.farm_ended then
    start_counts_anew(key, hash)
  else
    runs = runs_of(told)
  end
  local fence = told.farm_fence and next_fence(told.farm_fence) or fence_now
  local lease = table.concat({ batch .. string.format('%08x', #started_jobs), queue, runs, now, on_lost,
    string.format('%.0f', microseconds + #started_jobs) }, '|')
  redis.call('HSET', key, 'status', 'started', 'started_at', now_iso, 'last_heartbeat', now_iso, 'worker_name', host,
    'farm_fence', fence)
  -- No field tells: a record that was enqueued anew, under its old id or from the failed registry, keeps its time to live.
  redis.call('PERSIST', key)
  if told.farm_progress then
    redis.call('HDEL', key, 'farm_progress') -- of an attempt before this one
  end
  hash[#hash + 1] = 'farm_fence'
  hash[#hash + 1] = fence
  leases[#leases + 1] = id
  leases[#leases + 1] = lease
  started_jobs[#started_jobs + 1] = described(id, lease, hash, told, payload)
  started_ids[#started_ids + 1] = id
end

local function keep_receipt(receipts, receipt)
  redis.call('HSET', receipts, receipt, batch .. cmsgpack.pack(started_ids))
  redis.call('EXPIRE', receipts, 86400)
end

local function keep_started(running, receipts, receipt)
  if #leases > 0 then
    redis.call('HSET', running, unpack(leases))
    keep_receipt(receipts, receipt)
  end
end

-- The ids that this batch started, if it was run before.
local function ids_of_receipt(receipts, receipt)
  local kept = redis.call('HGET', receipts, receipt)
  return kept and string.sub(kept, 1, 24) == batch and cmsgpack.unpack(string.sub(kept, 25)) or nil
end
