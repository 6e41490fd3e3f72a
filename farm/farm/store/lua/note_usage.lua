-- Adds to what functions use what a host saw lately.
--
-- KEYS   1 receipts of the host  2… the usage of each queue
-- ARGV   1 number of this note, greater than those before it  2 seconds that an entry stays  3 most entries of a queue
--        4… JSON: {queue (index among these keys, from 1), function, what was seen}
-- RETURN how many entries were written; 0 for a note that was written before
--
-- GUARANTEE  A note counts once, however often it is sent: its number stands in the receipts. An entry that is broken, and
--            a key that is no hash, are replaced or left alone, and stop no others.
--
-- An entry is JSON: `at` (Unix seconds of the last note), `counted` (jobs, ever), `jobs` (of which each counts half after
-- an hour), and sums over `weight` jobs: `user`, `system`, `children`, `wall`, `memory`; `wait` over `waits` of them; and
-- histograms, see `farm.histogram`: `cpu_buckets`, `wall_buckets`, `memory_buckets`. In sums and histograms a job counts
-- half once a thousand others have come after it, or a day: so they follow what a function has become, and keep as many
-- as a 95th percentile needs. `running` is the longest of those that had not ended: `at`, `wall`, `cpu`, `memory`.
-- include keep_receipt
local LATEST, DAY, HOUR, SMALLEST_SHARE = 1000, 86400, 3600, 0.0005
local SUMS = { 'weight', 'user', 'system', 'children', 'wall', 'memory', 'waits', 'wait' }
local HISTOGRAMS = { 'cpu_buckets', 'wall_buckets', 'memory_buckets' }
local RECEIPT = 'usage'

local number = tonumber(ARGV[1])
local last = tonumber(redis.call('HGET', KEYS[1], RECEIPT) or '')
if last and last >= number then return 0 end

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000

local function short(value)
  return tonumber(string.format('%.6g', value))
end

local function entry_of(text)
  local is_read, entry = pcall(cjson.decode, text or '')
  if not is_read or type(entry) ~= 'table' then return {} end
  for _, name in ipairs(HISTOGRAMS) do
    if type(entry[name]) ~= 'table' then entry[name] = nil end
  end
  return entry
end

local function amount(value)
  return type(value) == 'number' and value == value and value < math.huge and value or 0
end

local function merged(old, old_part, new, new_part, least)
  local sums = {}
  for bucket, count in pairs(old or {}) do
    sums[bucket] = amount(count) * old_part
  end
  for bucket, count in pairs(new or {}) do
    sums[bucket] = (sums[bucket] or 0) + amount(count) * new_part
  end
  for bucket, count in pairs(sums) do
    sums[bucket] = count >= least and tonumber(string.format('%.4g', count)) or nil
  end
  return sums
end

-- The longest one is told of when it runs half as long again. One that was not since then has ended, or its host has.
local function longest(old, seen)
  if seen then seen.at = now end
  if type(old) ~= 'table' or now - amount(old.at) > 15 + amount(old.wall) / 2 then return seen end
  return seen and amount(seen.wall) >= amount(old.wall) and seen or old
end

local function merge(old, seen)
  local jobs, age = amount(seen.weight), math.max(0, now - amount(old.at))
  local old_part, new_part = 0.5 ^ (age / DAY + jobs / LATEST), jobs > LATEST and LATEST / jobs or 1
  local entry = { at = now, counted = amount(old.counted) + jobs, jobs = short(amount(old.jobs) * 0.5 ^ (age / HOUR) + jobs) }
  for _, name in ipairs(SUMS) do
    entry[name] = short(amount(old[name]) * old_part + amount(seen[name]) * new_part)
  end
  for _, name in ipairs(HISTOGRAMS) do
    entry[name] = merged(old[name], old_part, seen[name], new_part, entry.weight * SMALLEST_SHARE)
  end
  entry.running = longest(jobs == 0 and old.running or nil, seen.running)
  return entry
end

-- Some more than there are too many, so that this is rare.
local function drop_oldest(key, most)
  local entries, ages = redis.call('HGETALL', key), {}
  for i = 1, #entries, 2 do
    ages[#ages + 1] = { tonumber(string.match(entries[i + 1], '"at":([%d%.e%+]+)') or '') or 0, entries[i] }
  end
  table.sort(ages, function(one, other) return one[1] < other[1] end)
  for i = 1, #ages - math.floor(most * 0.9) do
    redis.call('HDEL', key, ages[i][2])
  end
end

local written, touched = 0, {}
for i = 4, #ARGV do
  local queue, name, seen = unpack(cjson.decode(ARGV[i]))
  local key = KEYS[1 + queue]
  local old = redis.pcall('HGET', key, name)
  if type(old) ~= 'table' or not old.err then
    redis.call('HSET', key, name, cjson.encode(merge(entry_of(old), seen)))
    touched[key] = true
    written = written + 1
  end
end
for key in pairs(touched) do
  redis.call('EXPIRE', key, ARGV[2])
  if redis.call('HLEN', key) > tonumber(ARGV[3]) then drop_oldest(key, tonumber(ARGV[3])) end
end
keep_receipt(KEYS[1], RECEIPT, ARGV[1])
return written
