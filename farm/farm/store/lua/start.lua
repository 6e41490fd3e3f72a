-- Starts jobs: from the host's inbox to its running leases, with RQ's start fields written.
--
-- KEYS   1 identities  2 inbox  3 running  4 receipts  5 rq:suspended  6 quarantine  7 quarantine reasons  8 events
--        and, by name, the hashes of the jobs popped inside
-- ARGV   1 host  2 identity  3 batch, 24 hex digits: 8 more make each job's token  4 how many at most  5 now, ISO 8601
--        6 bytes of payload after which the batch ends  7 RQ's prefix  8 prefix of the counts  9 sequence of the first
--        10 ON_LOST of this host  11… queue, its ON_LOST, …
-- RETURN {'fenced'} or {'ok', jobs left in the inbox, dropped, jobs…}, a job being
--        {id, token, queue, attempt, on_lost, fence token, its hash flat}
--
-- GUARANTEE  A job starts only from status `queued` with a payload, and only under a current lease. Ids that were
--            canceled, deleted or started elsewhere are dropped and counted; unreadable ones go to quarantine. The same
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

local function repeated(ids)
  local jobs = { 'ok', redis.call('LLEN', KEYS[2]), 0 }
  for _, id in ipairs(cmsgpack.unpack(ids)) do
    local lease = redis.call('HGET', KEYS[3], id)
    if lease and string.sub(lease, 1, 24) == batch then
      local hash = redis.pcall('HGETALL', rq_prefix .. ':job:' .. id)
      local token, queue, attempt, on_lost = string.match(lease, '^([^|]*)|(.*)|([^|]*)|[^|]*|([^|]*)|[^|]*$')
      local fence = redis.pcall('HGET', rq_prefix .. ':job:' .. id, 'farm_fence')
      jobs[#jobs + 1] = { id, token, queue, attempt, on_lost, type(fence) == 'string' and fence or '0',
        hash.err and {} or hash }
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
local read = { status = true, origin = true, data = true, farm_on_lost = true, farm_crashes = true, farm_losses = true,
  farm_progress = true, farm_fence = true, farm_ended = true }
local on_lost_of = {}
for i = 11, #ARGV, 2 do
  on_lost_of[ARGV[i]] = ARGV[i + 1]
end

local places = { KEYS[6], KEYS[7], KEYS[8] }
local jobs, ids, dropped, bytes = {}, {}, 0, 0
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

local function begin(id)
  local key = rq_prefix .. ':job:' .. id
  local hash = redis.pcall('HGETALL', key)
  if hash.err then
    quarantine(places, id, 'the key of the job is not a hash', now, ARGV[5])
    return
  end
  local status, queue, has_data, on_lost, runs, has_progress = nil, nil, false, nil, 1, false
  local fence, has_ended = fence_now, false
  for i = 1, #hash, 2 do
    local name, value = hash[i], hash[i + 1]
    bytes = bytes + #value
    if not read[name] then
      -- of no matter here
    elseif name == 'status' then
      status = value
    elseif name == 'origin' then
      queue = value
    elseif name == 'data' then
      has_data = true
    elseif name == 'farm_on_lost' then
      on_lost = value
    elseif name == 'farm_crashes' or name == 'farm_losses' then
      runs = runs + (tonumber(string.match(value, '^%d%d?%d?%d?%d?%d?$') or '') or 0) -- whatever somebody wrote there
    elseif name == 'farm_progress' then
      has_progress = true
    elseif name == 'farm_fence' then
      fence = next_fence(value)
    elseif name == 'farm_ended' then
      has_ended = true
    end
  end
  if status and not string.find(STATUSES, ' ' .. status .. ' ', 1, true) then
    quarantine(places, id, 'the status of the job is none that RQ knows', now, ARGV[5])
    return
  end
  if #hash == 0 or (status ~= 'queued' and status) then
    dropped = dropped + 1
    if queue and queue ~= '' then
      redis.pcall('HINCRBY', ARGV[8] .. queue, 'dropped', 1)
    end
    return
  end
  if not status or not has_data or not queue or queue == '' then
    quarantine(places, id, 'the hash of the job lacks status, data or origin', now, ARGV[5])
    return
  end
  if on_lost ~= 'fail' and on_lost ~= 'rerun' then
    on_lost = on_lost_of[queue] or ARGV[10]
  end
  if has_ended then
    start_counts_anew(key, hash)
    runs = 1
  end
  local token = batch .. string.format('%08x', #jobs)
  redis.call('HSET', key, 'status', 'started', 'started_at', ARGV[5], 'last_heartbeat', ARGV[5], 'worker_name', host,
    'farm_fence', fence)
  redis.call('PERSIST', key)
  if has_progress then
    redis.call('HDEL', key, 'farm_progress') -- of an attempt before this one
  end
  redis.call('HSET', KEYS[3], id, table.concat({ token, queue, runs, now, on_lost, sequence + #jobs }, '|'))
  jobs[#jobs + 1] = { id, token, queue, tostring(runs), on_lost, fence, hash }
  ids[#ids + 1] = id
end

for _ = 1, 4 * limit do
  if #jobs >= limit or bytes >= byte_limit then
    break
  end
  local id = redis.call('LPOP', KEYS[2])
  if not id then
    break
  end
  begin(id)
end
if #ids > 0 then
  redis.call('HSET', KEYS[4], 'start', batch .. cmsgpack.pack(ids))
  redis.call('EXPIRE', KEYS[4], 86400)
end
return { 'ok', redis.call('LLEN', KEYS[2]), dropped, unpack(jobs) }
