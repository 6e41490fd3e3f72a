-- note_follow_up(key, kind, token, id, now): a job ended without its process, so that nothing of the user's was called.
-- A host of its queue has that done in a process of its own (see `take_follow_up.lua`).
--   key    the zset of follow-ups; nil: the caller is of a version that knows none
--   kind   `stopped`, or `failed`
local FOLLOW_UPS_KEPT_SECONDS = 7 * 86400

local function note_follow_up(key, kind, token, id, now)
  if key then
    redis.pcall('ZADD', key, now, kind .. '|0|' .. token .. '|' .. id)
    redis.pcall('EXPIRE', key, FOLLOW_UPS_KEPT_SECONDS)
  end
end
