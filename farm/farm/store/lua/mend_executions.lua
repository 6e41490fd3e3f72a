-- Removes RQ's records of runs whose job is gone, and entries of the registry of started jobs whose time is over.
--
-- KEYS   1 coordinator  2 identities  3 lost  4 quarantine  5 events  6 mended
--        and, by name, the jobs' hashes, execution records, registries, and the hosts' running
-- ARGV   1 own value  2 RQ's prefix  3 prefix of the hosts' keys  4… id, queue ('' if not known), execution, …
-- RETURN nil to a caller that does not lead, else how many were removed
--
-- GUARANTEE  Only for jobs that are gone, or, with a queue, for entries that are over of jobs that are not started. What
--            a host or a worker of RQ still runs is left alone.
-- include leads
-- include clock
-- include announce
-- include whereabouts
-- include leftover_rules
local prefix = ARGV[2]
local now, now_iso = read_clock()
local ask = whereabouts(prefix, ARGV[3], KEYS[2], KEYS[3], now, KEYS[4])
local removed, first = 0, nil

local function is_over(id, queue, execution)
  local job = read_job(prefix, id)
  if not job then return false end
  local exists = redis.call('EXISTS', prefix .. ':job:' .. id) == 1
  local worker = redis.pcall('HGET', prefix .. ':execution:' .. id .. ':' .. execution, 'worker_name')
  worker = type(worker) == 'string' and worker or ''
  if ask.is_leased(id, worker) or not exists and queue == '' and ask.is_served_elsewhere(worker) then return false end
  if queue == '' then return not exists end
  local name = execution == '' and id or id .. ':' .. execution
  local score = redis.pcall('ZSCORE', prefix .. ':wip:' .. queue, name)
  return job[1] ~= 'started' and type(score) == 'string' and score ~= 'inf' and (tonumber(score) or 0) <= now
end

for i = 4, #ARGV, 3 do
  local id, queue, execution = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if is_over(id, queue, execution) then
    redis.call('DEL', prefix .. ':execution:' .. id .. ':' .. execution)
    redis.pcall('ZREM', prefix .. ':executions:' .. id, execution)
    if queue ~= '' then
      redis.pcall('ZREM', prefix .. ':wip:' .. queue, execution == '' and id or id .. ':' .. execution)
    end
    removed, first = removed + 1, first or id
  end
end
if removed > 0 then
  redis.pcall('HINCRBY', KEYS[6], 'execution', removed)
  announce(KEYS[5], now_iso, 'jobs.mended', 'kind', 'execution', 'count', removed, 'first', first)
end
return removed
