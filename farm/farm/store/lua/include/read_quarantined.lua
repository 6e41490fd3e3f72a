-- Needs `-- include whereabouts` before it.
-- read_quarantined(prefix, ask, id) → kind, detail: what is to be made of the record of a job in quarantine. `ask` are the
-- questions of `whereabouts`.
-- Kinds:
--   'gone'              there is no record
--   'unreadable', why   as it was put there for, or for another reason
--   'elsewhere', where  the record is fine, and the job has gone another way: it runs, it ended, it is in line
--   'waiting', queue    the record is fine, and nobody has the job
local function read_quarantined(prefix, ask, id)
  local job = prefix .. ':job:' .. id
  local kind = redis.call('TYPE', job).ok
  if kind == 'none' then return 'gone', '' end
  if kind ~= 'hash' then return 'unreadable', 'the key of the job is not a hash but a ' .. kind end
  local missing = {}
  for _, field in ipairs({ 'status', 'origin', 'data' }) do
    if redis.call('HSTRLEN', job, field) == 0 then missing[#missing + 1] = field end
  end
  if #missing > 0 then return 'unreadable', 'the hash of the job lacks ' .. table.concat(missing, ', ') end
  local fields = redis.call('HMGET', job, 'status', 'origin', 'worker_name')
  local status, queue = fields[1], fields[2]
  if status ~= 'queued' and status ~= 'started' then return 'elsewhere', 'its status is ' .. status end
  if ask.is_leased(id, fields[3]) or ask.is_executed(id, queue) then return 'elsewhere', 'it runs' end
  local found = redis.call('TYPE', prefix .. ':queue:' .. queue).ok
  if found ~= 'list' and found ~= 'none' then return 'unreadable', 'the key of queue ' .. queue .. ' is not a list' end
  if ask.is_listed(id, queue) then return 'elsewhere', 'it is in queue ' .. queue end
  if ask.is_placed(id) then return 'elsewhere', 'it is in the inbox of a host' end
  return 'waiting', queue
end
