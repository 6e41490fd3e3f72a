-- forget_crashes(job): a job that had ended and is enqueued anew starts with its counts of crashes and losses at zero.
local function forget_crashes(job)
  redis.call('HDEL', job, 'farm_crashes', 'farm_losses', 'farm_evidence', 'farm_drains', 'farm_ended')
end
