-- Gives back jobs that count as started and that nobody runs.
--
-- KEYS   1 coordinator  2 identities  3 lost  4 quarantine  5 quarantine reasons  6 events  7 dependents  8 mended
--        9 follow-ups
--        and, by name, the jobs' hashes, queues, registries, results and execution records, the queues' counts, and the
--        hosts' inboxes and running
-- ARGV   1 own value  2 RQ's prefix  3 prefix of the hosts' keys  4 prefix of the counts  5 MAX_HOST_LOSSES  6 ON_LOST
--        7 text for a poisoned job  8 text for one that must not run twice  9… ids
-- RETURN nil to a caller that does not lead, else how many were mended
--
-- GUARANTEE  Each is looked at again in this step, and left alone if anybody answers for it: a host, a worker of RQ, a
--            record of RQ that is not over, or RQ's cleaners, which are at this queue. It goes to the head of its queue,
--            and the loss is counted, as for a lost host; with on_lost=fail it is failed.
-- include leads
-- include clock
-- include announce
-- include quarantine
-- include give_back
-- include crashes
-- include release_dependents
-- include fail_job
-- include follow_up
-- include end_lost_run
-- include whereabouts
-- include leftover_rules
local prefix, limit = ARGV[2], tonumber(ARGV[5])
local now, now_iso = read_clock()
local ask = whereabouts(prefix, ARGV[3], KEYS[2], KEYS[3], now, KEYS[4])
local mended, first = 0, nil

local function forget_executions(id, queue, worker)
  local executions = prefix .. ':executions:' .. id
  local tokens = redis.pcall('ZRANGE', executions, 0, 99)
  for i = 1, tokens.err and 0 or #tokens do
    local name = id .. ':' .. tokens[i]
    redis.pcall('ZREM', prefix .. ':wip:' .. queue, name)
    redis.pcall('SREM', prefix .. ':worker:' .. worker .. ':executions', name)
    redis.call('DEL', prefix .. ':execution:' .. name)
  end
  redis.call('DEL', executions)
  redis.pcall('ZREM', prefix .. ':wip:' .. queue, id)
end

local function back(id)
  local outcome, detail = give_back(prefix, id)
  if outcome == 'queued' then
    redis.pcall('HINCRBY', ARGV[4] .. detail, 'recovered', 1)
  elseif outcome == 'unreadable' then
    quarantine({ KEYS[4], KEYS[5], KEYS[6] }, id, detail, now, now_iso)
  end
end

for i = 9, #ARGV do
  local id = ARGV[i]
  local job = read_job(prefix, id)
  if job and is_abandoned(ask, id, job) and redis.call('EXISTS', prefix .. ':clean_registries:' .. job[2]) == 0 then
    local queue, worker = job[2], job[3] or ''
    local on_lost = redis.call('HGET', prefix .. ':job:' .. id, 'farm_on_lost')
    if on_lost ~= 'fail' and on_lost ~= 'rerun' then on_lost = ARGV[6] end
    forget_executions(id, queue, worker)
    local evidence = cjson.encode({ at = now_iso, host = worker, reason = 'host_lost' })
    if not end_lost_run({ prefix = prefix, counts = ARGV[4], dependents = KEYS[7], events = KEYS[6], follow_ups = KEYS[9], id = id,
      queue = queue, host = worker, token = '', on_lost = on_lost, limit = limit, evidence = evidence,
      lost_text = ARGV[8], poisoned_text = ARGV[7], now = now, now_iso = now_iso }) then
      back(id)
    end
    mended, first = mended + 1, first or id
  end
end
if mended > 0 then
  redis.pcall('HINCRBY', KEYS[8], 'started', mended)
  announce(KEYS[6], now_iso, 'jobs.mended', 'kind', 'started', 'count', mended, 'first', first)
end
return mended
