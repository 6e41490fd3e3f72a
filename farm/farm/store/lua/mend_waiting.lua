-- Puts jobs back into their queues that a worker popped and never started.
--
-- KEYS   1 coordinator  2 identities  3 lost  4 quarantine  5 events  6 mended
--        and, by name, the jobs' hashes, queues, lists of popped ids, registries, and the hosts' inboxes and running
-- ARGV   1 own value  2 RQ's prefix  3 prefix of the hosts' keys  4 kind: queued or popped  5… id, queue, …
-- RETURN nil to a caller that does not lead, else how many were mended
--
-- GUARANTEE  Each is looked at again in this step. It goes to the TAIL: if it was the job that made its worker die, it
--            must not stand in front of all others again. `enqueued_at` stays, so its waiting time goes on. Of `popped`
--            ids the list of popped ones is cleared in the same step; what needs no run any more only leaves that list.
-- include leads
-- include clock
-- include announce
-- include whereabouts
-- include leftover_rules
local prefix, kind = ARGV[2], ARGV[4]
local now, now_iso = read_clock()
local ask = whereabouts(prefix, ARGV[3], KEYS[2], KEYS[3], now, KEYS[4])
local mended, first = 0, nil

local function push(id, queue)
  local pushed = redis.pcall('RPUSH', prefix .. ':queue:' .. queue, id)
  if type(pushed) == 'table' then
    if not string.find(pushed.err, 'WRONGTYPE', 1, true) then error(pushed.err) end
    return false
  end
  return true
end

local function put_back(id)
  local job = read_job(prefix, id)
  return job and is_missing(ask, id, job) and push(id, job[2])
end

local function is_answered_for(id, queue, worker)
  return redis.call('EXISTS', prefix .. ':clean_registries:' .. queue) == 1 or ask.is_served_elsewhere(worker)
    or ask.is_executed(id, queue) or ask.is_leased(id, worker) or ask.is_placed(id)
end

local function put_back_popped(id, queue)
  local key, job = prefix .. ':queue:' .. queue .. ':intermediate', read_job(prefix, id)
  if not job or job[1] == 'started' or is_answered_for(id, queue, job[3]) or redis.pcall('LREM', key, 1, id) ~= 1 then
    return false
  end
  if job[1] == 'queued' then
    local listed = ask.is_listed(id, queue)
    if listed == nil or not listed and not push(id, queue) then
      redis.call('RPUSH', key, id)
      return false
    end
  end
  redis.call('DEL', key .. ':first_seen:' .. id)
  return true
end

for i = 5, #ARGV, 2 do
  local id = ARGV[i]
  local done
  if kind == 'popped' then done = put_back_popped(id, ARGV[i + 1]) else done = put_back(id) end
  if done then
    mended, first = mended + 1, first or id
  end
end
if mended > 0 then
  redis.pcall('HINCRBY', KEYS[6], kind, mended)
  announce(KEYS[5], now_iso, 'jobs.mended', 'kind', kind, 'count', mended, 'first', first)
end
return mended
