-- Deletes what a late write left of jobs that are gone; sets aside what somebody may still want.
--
-- KEYS   1 coordinator  2 identities  3 lost  4 quarantine  5 quarantine reasons  6 events  7 mended
--        and, by name, the jobs' hashes, and the hosts' running
-- ARGV   1 own value  2 RQ's prefix  3 prefix of the hosts' keys  4… ids
-- RETURN nil to a caller that does not lead, else {deleted, quarantined}
--
-- GUARANTEE  Each is looked at again in this step. Only a hash that holds nothing but times, status, worker's name and
--            fields of ours is deleted; anything else stays as it is, and its id goes to quarantine.
-- include leads
-- include clock
-- include announce
-- include quarantine
-- include whereabouts
-- include leftover_rules
local prefix = ARGV[2]
local now, now_iso = read_clock()
local ask = whereabouts(prefix, ARGV[3], KEYS[2], KEYS[3], now, KEYS[4])
local deleted, quarantined, first = 0, 0, nil
local WORTHLESS = { status = true, worker_name = true, last_heartbeat = true, created_at = true, enqueued_at = true,
  started_at = true, ended_at = true }

local function holds_something(key)
  if redis.call('HLEN', key) > 100 then return true end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if not WORTHLESS[field] and string.sub(field, 1, 5) ~= 'farm_' and redis.call('HSTRLEN', key, field) > 0 then
      return true
    end
  end
  return false
end

for i = 4, #ARGV do
  local id = ARGV[i]
  local key, job = prefix .. ':job:' .. id, read_job(prefix, id)
  if job and is_stump(ask, prefix, id, job) then
    first = first or id
    if holds_something(key) then
      local reason = job[5] == 0 and 'the hash of the job has no payload (data)' or 'the record names no queue (origin)'
      quarantine({ KEYS[4], KEYS[5], KEYS[6] }, id, reason, now, now_iso)
      quarantined = quarantined + 1
    else
      redis.call('DEL', key)
      deleted = deleted + 1
    end
  end
end
if deleted + quarantined > 0 then
  redis.pcall('HINCRBY', KEYS[7], 'stump', deleted)
  redis.pcall('HINCRBY', KEYS[7], 'quarantined', quarantined)
  announce(KEYS[6], now_iso, 'jobs.mended', 'kind', 'stump', 'count', deleted + quarantined, 'first', first)
end
return { deleted, quarantined }
