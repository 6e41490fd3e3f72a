-- ring(bell): wakes who waits on it. One ring is as good as many, so one that was not heard yet is enough.
local function ring(bell)
  if redis.pcall('LLEN', bell) == 0 then
    redis.call('LPUSH', bell, '1')
  end
end
