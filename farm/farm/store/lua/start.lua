-- Starts jobs: from the host's inbox to its running leases, with RQ's start fields written.
--
-- KEYS   1 identities  2 inbox  3 running  4 receipts  5 rq:suspended  6 quarantine  7 quarantine reasons  8 events
--        and, by name, the hashes of the jobs popped inside
-- ARGV   1 host  2 identity  3 batch, 24 hex digits: 8 more make each job's token  4 how many at most  5 now, ISO 8601
--        6 bytes of payload after which the batch ends  7 RQ's prefix  8 prefix of the counts  9 sequence of the first
--        10 ON_LOST of this host  11… queue, its ON_LOST, …
-- RETURN {'fenced'} or {'ok', jobs left in the inbox, dropped, jobs…}, a job being {id, lease, timeout, what its
--        description calls, 'callbacks' if it has any, its hash flat in MessagePack, with the fence token of this start,
--        'large' if its payload is left out there: its process reads it by itself}
--
-- GUARANTEE  A job starts only from status `queued` or `created`, with a payload, and only under a current lease. Ids
--            that were canceled, deleted or started elsewhere are dropped and counted; unreadable ones go to quarantine. The same
--            batch sent again returns the same jobs and starts no others. A job's fence token grows with each of its
--            starts. Crashes and losses of a job that has ended since, and was enqueued anew, don't count.
-- include announce
-- include quarantine
-- include forget_crashes
local host, identity, batch = ARGV[1], ARGV[2], ARGV[3]
local rq_prefix = ARGV[7]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end

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

local function repeated(ids)
  local jobs = { 'ok', redis.call('LLEN', KEYS[2]), 0 }
  for _, id in ipairs(cmsgpack.unpack(ids)) do
    local lease = redis.call('HGET', KEYS[3], id)
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

local receipt = redis.call('HGET', KEYS[4], 'start')
if receipt and string.sub(receipt, 1, 24) == batch then
  return repeated(string.sub(receipt, 25))
end
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { 'ok', redis.call('LLEN', KEYS[2]), 0 }
end

local time = redis.call('TIME')
local now = time[1]
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
for i = 11, #ARGV, 2 do
  on_lost_of[ARGV[i]] = ARGV[i + 1]
end

local places = { KEYS[6], KEYS[7], KEYS[8] }
local jobs, ids, leases, dropped, bytes = {}, {}, {}, 0, 0
local limit, byte_limit, sequence = tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[9])

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
    redis.pcall('HINCRBY', ARGV[8] .. queue, 'dropped', 1)
  end
end

local function begin(id)
  local key = rq_prefix .. ':job:' .. id
  local hash, payload = read(key)
  if hash.err then
    quarantine(places, id, 'the key of the job is not a hash', now, ARGV[5])
    return
  end
  local told = {}
  bytes = bytes + (payload or 0)
  for i = 1, #hash, 2 do
    local name, value = hash[i], hash[i + 1]
    bytes = bytes + #value
    if looked_at[name] then
      told[name] = value
    end
  end
  local status, queue = told.status, told.origin
  if status and status ~= 'queued' and not string.find(STATUSES, ' ' .. status .. ' ', 1, true) then
    quarantine(places, id, 'the status of the job is none that RQ knows', now, ARGV[5])
    return
  end
  -- `created`: somebody pushed the id of a job that was saved and never enqueued, as RQ lets one do.
  if #hash == 0 or (status ~= 'queued' and status ~= 'created' and status) then
    drop(queue)
    return
  end
  if not status or not told.data or not queue or queue == '' then
    quarantine(places, id, 'the hash of the job lacks status, data or origin', now, ARGV[5])
    return
  end
  local on_lost, runs = told.farm_on_lost, 1
  if on_lost ~= 'fail' and on_lost ~= 'rerun' then
    on_lost = on_lost_of[queue] or ARGV[10]
  end
  if told.farm_ended then
    start_counts_anew(key, hash)
  else
    runs = runs_of(told)
  end
  local fence = told.farm_fence and next_fence(told.farm_fence) or fence_now
  local lease = table.concat({ batch .. string.format('%08x', #jobs), queue, runs, now, on_lost, sequence + #jobs }, '|')
  redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[5], 'last_heartbeat', ARGV[5], 'worker_name', host,
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
  jobs[#jobs + 1] = described(id, lease, hash, told, payload)
  ids[#ids + 1] = id
end

local function take()
  local waiting = redis.call('LRANGE', KEYS[2], 0, limit - 1)
  local taken = 0
  for _, id in ipairs(waiting) do
    if bytes >= byte_limit then
      break
    end
    begin(id)
    taken = taken + 1
  end
  if #leases > 0 then
    redis.call('HSET', KEYS[3], unpack(leases))
  end
  if taken > 0 then
    redis.call('LPOP', KEYS[2], taken)
  end
end

take()
if #ids > 0 then
  redis.call('HSET', KEYS[4], 'start', batch .. cmsgpack.pack(ids))
  redis.call('EXPIRE', KEYS[4], 86400)
end
return { 'ok', redis.call('LLEN', KEYS[2]), dropped, unpack(jobs) }
