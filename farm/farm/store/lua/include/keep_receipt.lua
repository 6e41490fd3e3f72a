-- keep_receipt(receipts, name, text): keeps what a repeat of a request is answered from, for half a day at least.
local RECEIPTS_KEPT_SECONDS = 86400

local function keep_receipt(receipts, name, text)
  redis.call('HSET', receipts, name, text)
  if redis.call('TTL', receipts) < RECEIPTS_KEPT_SECONDS / 2 then -- to look costs a third of renewing it each time
    redis.call('EXPIRE', receipts, RECEIPTS_KEPT_SECONDS)
  end
end
