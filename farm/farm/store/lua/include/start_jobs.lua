-- Starting jobs, for scripts that take their ids from somewhere. Reads locals of the script: `host`, `batch`, `rq_prefix`,
-- `counts_prefix`, `places` (quarantine, its reasons, events), `on_lost_from` (index in ARGV of ON_LOST of the host; after
-- it come queue, its ON_LOST, …). Needs `quarantine`, `forget_crashes`, `clock`, `keep_receipt`.
--
-- ids_of(receipt) → the ids that this batch started, if it was run before; `receipt` is what was kept under its name.
-- repeated(running, ids) → the jobs that it started, as `started_jobs`.
-- begin(id, by_itself): starts a job that was taken from where it waited. What cannot be started is dropped or
--   quarantined. `by_itself`: nobody placed it here, so one that only some hosts may have is left; then it returns false.
-- keep_started(running, receipts, name): writes the leases, and what a repeat of the batch is answered from.
-- keep_ids(receipts, name): the second of these alone.
-- started_jobs, started_bytes, dropped: what came of it.
local started_jobs, started_ids, leases, dropped, started_bytes = {}, {}, {}, 0, 0

-- What the host is told of a job. Its hash is for the process that runs it: the host hands it on as it is.
local function described(id, lease, hash, payload)
  local packed = cmsgpack.pack(hash)
  started_bytes = started_bytes + #packed + (payload or 0)
  return { id, lease, hash.timeout or '', string.match(string.sub(hash.description or '', 1, 200), '^[^(]*'),
    (hash.success_callback_name or '') .. (hash.failure_callback_name or '') == '' and '' or 'callbacks',
    packed, payload and 'large' or '' }
end

-- To hand a payload of so many bytes on costs more than another round trip: it would be copied a dozen times on its way.
local LARGE, MOST_FIELDS = 32768, 1000
local was_large = true

local function read_all_but_payload(key)
  local names, hash = redis.call('HKEYS', key), { data = '' }
  if #names == 1 or #names > MOST_FIELDS then
    return nil
  end
  for i, name in ipairs(names) do
    if name == 'data' then
      table.remove(names, i)
      break
    end
  end
  for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do
    hash[names[i]] = value
  end
  return hash
end

-- The hash of a job, name → value, and the bytes of its payload if that is empty there; nil for what is no hash. Large
-- payloads come together: where the one before was not large, nobody asks.
local function read(key)
  if was_large then
    local size = redis.pcall('HSTRLEN', key, 'data')
    was_large = type(size) == 'number' and size >= LARGE
    local hash = was_large and read_all_but_payload(key)
    if hash then
      return hash, size
    end
  end
  redis.setresp(3) -- with it the server makes the map: that costs a third of what a loop here does
  local hash = redis.pcall('HGETALL', key).map
  redis.setresp(2)
  return hash
end

local function ids_of(receipt)
  return receipt and string.sub(receipt, 1, 24) == batch and cmsgpack.unpack(string.sub(receipt, 25)) or nil
end

local function repeated(running, ids)
  local jobs = {}
  for _, id in ipairs(ids) do
    local lease = redis.call('HGET', running, id)
    if lease and string.sub(lease, 1, 24) == batch then
      local hash, payload = read(rq_prefix .. ':job:' .. id)
      jobs[#jobs + 1] = described(id, lease, hash or {}, payload)
    end
  end
  return jobs
end

local time = redis.call('TIME')
local now, now_iso = time[1], to_iso(tonumber(time[1]), tonumber(time[2]))
local LAST_WHOLE = 9007199254740991

-- Text of the microseconds of the clock, and so many more. A server takes long to format so large a number.
local function microseconds_and(more)
  local fraction = time[2] + more
  return fraction < 1000000 and now .. string.format('%06d', fraction)
    or string.format('%.0f', now * 1000000 + fraction)
end

-- Fence tokens are microseconds of the clock, or more: they go on growing when a record is deleted and made anew, and
-- when Redis comes back without its last writes.
local fence_now = microseconds_and(0)
local on_lost_of = {}
for i = on_lost_from + 1, #ARGV, 2 do
  on_lost_of[ARGV[i]] = ARGV[i + 1]
end

-- What was counted before the job ended is over, and the host must not see it either.
local function start_counts_anew(key, hash)
  forget_crashes(key)
  for _, name in ipairs({ 'farm_crashes', 'farm_losses', 'farm_evidence', 'farm_ended' }) do
    hash[name] = hash[name] and ''
  end
end

local function next_fence(previous)
  local last = tonumber(previous)
  if last and last >= tonumber(fence_now) and last < LAST_WHOLE then
    return string.format('%.0f', last + 1)
  end
  return fence_now
end

local function runs_of(hash)
  local runs = 1
  for _, name in ipairs({ 'farm_crashes', 'farm_losses' }) do
    local value = hash[name] or '' -- whatever somebody wrote there
    runs = runs + (tonumber(string.match(value, '^%d%d?%d?%d?%d?%d?$') or '') or 0)
  end
  return runs
end

local STATUSES = ' queued created finished failed started deferred scheduled stopped canceled rate_limited ready_to_enqueue '

-- Of a job that cannot be started: it is dropped if it went another way, and set aside if its record makes no sense.
local function refuse(id, hash)
  local status, queue = hash.status, hash.origin
  if status and not string.find(STATUSES, ' ' .. status .. ' ', 1, true) then
    quarantine(places, id, 'the status of the job is none that RQ knows', now, now_iso)
  elseif next(hash) and (not status or status == 'queued' or status == 'created') then
    quarantine(places, id, 'the hash of the job lacks status, data or origin', now, now_iso)
  else
    dropped = dropped + 1
    if queue and queue ~= '' then
      redis.pcall('HINCRBY', counts_prefix .. queue, 'dropped', 1)
    end
  end
end

local function begin(id, by_itself)
  local key = rq_prefix .. ':job:' .. id
  local hash, payload = read(key)
  if not hash then
    quarantine(places, id, 'the key of the job is not a hash', now, now_iso)
    return true
  end
  if by_itself and (hash.farm_requires or hash.farm_memory_mb or hash.farm_declined) then
    return false
  end
  local status, queue = hash.status, hash.origin
  -- `created`: somebody pushed the id of a job that was saved and never enqueued, as RQ lets one do.
  if status ~= 'queued' and status ~= 'created' or not hash.data or not queue or queue == '' then
    refuse(id, hash)
    return true
  end
  local on_lost, runs = hash.farm_on_lost, '1'
  if on_lost ~= 'fail' and on_lost ~= 'rerun' then
    on_lost = on_lost_of[queue] or ARGV[on_lost_from]
  end
  if hash.farm_ended then
    start_counts_anew(key, hash)
  elseif hash.farm_crashes or hash.farm_losses then
    runs = runs_of(hash)
  end
  local number = #started_jobs
  local lease = batch .. string.format('%08x', number) .. '|' .. queue .. '|' .. runs .. '|' .. now .. '|' .. on_lost .. '|'
    .. microseconds_and(number)
  hash.farm_fence = hash.farm_fence and next_fence(hash.farm_fence) or fence_now
  redis.call('HSET', key, 'status', 'started', 'started_at', now_iso, 'last_heartbeat', now_iso, 'worker_name', host,
    'farm_fence', hash.farm_fence)
  -- No field tells: a record that was enqueued anew, under its old id or from the failed registry, keeps its time to live.
  redis.call('PERSIST', key)
  if hash.farm_progress or hash.farm_used then -- of an attempt before this one
    redis.call('HDEL', key, 'farm_progress', 'farm_used')
    hash.farm_progress, hash.farm_used = nil, nil
  end
  leases[#leases + 1] = id
  leases[#leases + 1] = lease
  started_jobs[number + 1] = described(id, lease, hash, payload)
  started_ids[number + 1] = id
  return true
end

local function keep_ids(receipts, name)
  keep_receipt(receipts, name, batch .. cmsgpack.pack(started_ids))
end

local function keep_started(running, receipts, name)
  if #leases > 0 then
    redis.call('HSET', running, unpack(leases))
    keep_ids(receipts, name)
  end
end
