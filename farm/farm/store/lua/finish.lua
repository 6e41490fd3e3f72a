-- Records how jobs ended: RQ's terminal bookkeeping for a batch of jobs of one host.
--
-- KEYS   1 identities  2 running  3 receipts  4 inbox  5 the bell of room  6 RQ worker hash  7 RQ worker executions
--        8 events  9 dependents  10 quarantine  11 quarantine reasons  12 follow-ups
--        and, by name, the keys of the batch's jobs, their queues, registries and rate limits
-- ARGV   1 host  2 identity  3 slot of the receipt  4 batch  5 now, ISO 8601  6 RQ's prefix  7 prefix of the counts
--        8 MAX_CRASHES  9 MessagePack: an array of jobs, each an array in the order of `read_job` below, of which the end
--        may be missing  10 MessagePack: an array of {number of a job, 1 if its execution is recorded, more fields flat}
-- RETURN {'fenced'} or {'ok', jobs left in the inbox, answer per job}; answers: `finished`, `failed`, `stopped`, `again`,
--        `recovered` (crashed, back at the head of its queue), `poisoned`, `deleted` (its owner deleted the job),
--        `refused` (this host does not hold the lease), `unreadable` (a key of the job is of the wrong type: quarantined)
--
-- GUARANTEE  An outcome is written only for a lease that this host holds now, with its token; then the lease is gone. The
--            same batch sent again gets the same answers and writes nothing. A job is never recreated.
-- include ring
-- include keep_receipt
local host, identity = ARGV[1], ARGV[2]
local rq_prefix, counts_prefix, now_iso = ARGV[6], ARGV[7], ARGV[5]
if redis.call('HGET', KEYS[1], host) ~= identity then
  return { 'fenced' }
end

local receipt = redis.call('HGET', KEYS[3], ARGV[3])
if receipt and string.find(receipt, ARGV[4], 1, true) then
  return { 'ok', redis.call('LLEN', KEYS[4]), unpack(cmsgpack.unpack(receipt).answers) }
end

local now = tonumber(redis.call('TIME')[1])
local counts, succeeded, unsuccessful, working_time = {}, 0, 0, 0
-- What is done once for all jobs of the batch: entries of registries by their key, leases that are over, and whether any
-- job has dependents at all.
local entries, ended, is_over, any_dependents = {}, {}, {}, false

local function count(queue, what)
  local counted = counts[queue] or {}
  counts[queue] = counted
  counted[what] = (counted[what] or 0) + 1
end

-- Numbers become text once: for each argument that is none, a server formats a float.
local texts = {}
local function text(number)
  local made = texts[number]
  if not made then
    made = number .. ''
    texts[number] = made
  end
  return made
end

local function keep(key, ttl)
  if ttl > 0 then
    redis.call('EXPIRE', key, text(ttl))
  else
    redis.call('PERSIST', key)
  end
end

local function write_result(job, result_type, ttl)
  local key = rq_prefix .. ':results:' .. job.id
  local entry = { 'type', result_type, 'worker_name', host, 'execution_id', job.token,
    'execution_started_at', job.started_at, 'execution_ended_at', job.ended_at }
  if job.result ~= '' then
    entry[11], entry[12] = 'return_value', job.result
  end
  if job.error ~= '' then
    entry[#entry + 1] = 'exc_string'
    entry[#entry + 1] = job.error
  end
  redis.call('XADD', key, 'MAXLEN', '~', '10', '*', unpack(entry))
  keep(key, ttl)
end

local function remove_execution(job)
  if job.recorded then
    redis.pcall('ZREM', rq_prefix .. ':wip:' .. job.queue, job.id .. ':' .. job.token)
    redis.pcall('ZREM', rq_prefix .. ':executions:' .. job.id, job.token)
    redis.call('DEL', rq_prefix .. ':execution:' .. job.id .. ':' .. job.token)
    redis.pcall('SREM', KEYS[7], job.id .. ':' .. job.token)
  end
end

-- The job's own sets follow its hash, but for dependents that are left to release. RQ spells the last key with two colons.
local function expire_job(job, ttl, left)
  keep(job.key, ttl)
  if any_dependents then
    keep(job.key .. ':dependents', left > 0 and -1 or ttl)
  end
  if job.has_dependencies then
    keep(rq_prefix .. ':job::' .. job.id .. ':dependencies', ttl)
  end
end

local function register(registry, job, ttl)
  local key = rq_prefix .. registry .. job.queue
  local entry = entries[key] or { members = {}, jobs = {} }
  entries[key] = entry
  entry.members[#entry.members + 1] = ttl < 0 and '+inf' or text(now + ttl)
  entry.members[#entry.members + 1] = job.id
  entry.jobs[#entry.jobs + 1] = job
end

-- What few jobs need is made when the first of them comes: a server takes longer to make it than to end a plain job.
local rare_ends
local function rare()
  if not rare_ends then
-- include announce
-- include quarantine
-- include give_back
-- include crashes
-- include release_dependents
-- include follow_up
-- include rare_ends
    rare_ends = { delete_job = delete_job, release_waiting = release_waiting, go_again = go_again, failed = failed,
      retried = retried, crashed = crashed, is_accepted_anew = is_accepted_anew, superseded = superseded,
      follow_up = follow_up, leave_rate_limit = leave_rate_limit, unreadable = unreadable, refuse = refuse }
  end
  return rare_ends
end

local function finished(job)
  local ttl, left = job.ttl, 0
  succeeded = succeeded + 1
  count(job.queue, 'finished')
  if ttl ~= 0 then
    write_result(job, '1', ttl)
    register(':finished:', job, ttl)
  end
  if job.again ~= '' then
    rare().go_again(job)
    return 'again'
  end
  if any_dependents and job.status ~= 'canceled' then -- nothing follows a canceled job
    left = rare().release_waiting(job, 'finished')
  end
  if ttl == 0 then
    rare().delete_job(job, left)
  else
    expire_job(job, ttl, left)
  end
  return 'finished'
end

local function end_job(job)
  if job.kind == 'finished' then
    return finished(job)
  elseif job.kind == 'crashed' then
    return rare().crashed(job)
  elseif job.again ~= '' then
    return rare().retried(job)
  end
  return rare().failed(job, job.kind)
end

local function record(job)
  local status = redis.call('HGET', job.key, 'status')
  if not status and redis.call('EXISTS', job.key) == 0 then
    count(job.queue, 'dropped')
    return 'deleted'
  end
  job.status = status
  if status ~= 'started' and rare().is_accepted_anew(job) then
    return rare().superseded(job)
  end
  if job.kind ~= 'crashed' then
    job.fields[#job.fields + 1] = 'status'
    job.fields[#job.fields + 1] = job.kind
  end
  if #job.fields > 0 then
    redis.call('HSET', job.key, unpack(job.fields))
  end
  working_time = working_time + job.seconds
  local answer = end_job(job)
  if job.unattended then
    rare().follow_up(job, answer)
  end
  if job.rate_limit_key ~= '' then
    rare().leave_rate_limit(job)
  end
  return answer
end

-- A lease's queue; most have no bar in their name, and are told quicker.
local function queue_of(lease)
  return string.match(lease, '^[^|]*|([^|]*)|[^|]*|[^|]*|[^|]*|[^|]*$')
    or string.match(lease, '^[^|]*|(.*)|[^|]*|[^|]*|[^|]*|[^|]*$')
end

local function finish(job, lease)
  if not lease or is_over[job.id] or string.sub(lease, 1, #job.token + 1) ~= job.token .. '|' then
    return rare().refuse(job)
  end
  job.queue = queue_of(lease)
  job.lease = lease
  remove_execution(job)
  local ok, answer = pcall(record, job)
  if not ok then
    answer = rare().unreadable(job, type(answer) == 'table' and answer.err or tostring(answer))
  end
  ended[#ended + 1] = job.id
  is_over[job.id] = true
  return answer
end

-- What is missing at the end is usual: most jobs end with nothing more to say.
local function read_job(record, number)
  local id = record[1]
  return { id = id, key = rq_prefix .. ':job:' .. id, number = number, token = record[2], kind = record[3], ttl = record[4],
    started_at = record[5], ended_at = record[6], seconds = record[7], fields = record[8], accepted = record[9],
    result = record[10], has_dependencies = record[11], result_type = record[12] or 1, error = record[13] or '',
    again = record[14] or '', delay = record[15] or 0, rate_limit_key = record[16] or '', group = record[17] or '',
    summary = record[18] or '', evidence = record[19] or '', unattended = record[20] }
end

local function read_jobs()
  local jobs, ids, dependents = cmsgpack.unpack(ARGV[9]), {}, {}
  for i = 1, #jobs do
    local job = read_job(jobs[i], i)
    jobs[i], ids[i], dependents[i] = job, job.id, job.key .. ':dependents'
  end
  for _, extra in ipairs(cmsgpack.unpack(ARGV[10])) do
    local job = jobs[extra[1]]
    job.recorded = extra[2] == 1
    for _, part in ipairs(extra[3]) do
      job.fields[#job.fields + 1] = part
    end
  end
  any_dependents = redis.call('EXISTS', unpack(dependents)) > 0
  return jobs, redis.call('HMGET', KEYS[2], unpack(ids))
end

-- Also of a batch that a server stopped halfway: what was written of a job and its lease go together.
local function write_for_all(answers)
  for key, entry in pairs(entries) do
    local added = redis.pcall('ZADD', key, unpack(entry.members))
    if type(added) == 'table' then
      for _, job in ipairs(entry.jobs) do
        answers[job.number] = rare().unreadable(job, added.err)
      end
    end
  end
  if #ended > 0 then
    redis.call('HDEL', KEYS[2], unpack(ended))
  end
end

local answers = {}
-- A server that does not know script flags refuses nothing for want of memory after a first write that needs none.
redis.call('HDEL', KEYS[3], '')
local function finish_all()
  local jobs, leases = read_jobs()
  for i, job in ipairs(jobs) do
    answers[i] = finish(job, leases[i])
  end
end
local is_whole, trouble = pcall(finish_all)
write_for_all(answers)
if not is_whole then
  error(trouble)
end

-- The outcomes are written: from here on a key of the wrong type is passed over, so that the receipt is kept.
for queue, counted in pairs(counts) do
  for what, number in pairs(counted) do
    redis.pcall('HINCRBY', counts_prefix .. queue, what, number)
  end
end
if redis.call('EXISTS', KEYS[6]) == 1 then
  if succeeded > 0 then
    redis.pcall('HINCRBY', KEYS[6], 'successful_job_count', succeeded)
  end
  if unsuccessful > 0 then
    redis.pcall('HINCRBY', KEYS[6], 'failed_job_count', unsuccessful)
  end
  redis.pcall('HINCRBYFLOAT', KEYS[6], 'total_working_time', working_time)
end
keep_receipt(KEYS[3], ARGV[3], cmsgpack.pack({ batch = ARGV[4], answers = answers }))
ring(KEYS[5])
return { 'ok', redis.call('LLEN', KEYS[4]), unpack(answers) }
