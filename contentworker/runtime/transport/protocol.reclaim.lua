-- End a holder's lease, and put back all that it held.
--
-- KEYS[1] RETURNED  KEYS[2] LEASES  KEYS[3] hash of what the holder holds  KEYS[4] RENEWED
-- ARGV[1] holder    ARGV[2] do nothing unless it has renewed its lease this often; empty: in any case
-- ARGV[3] 1 if the holder died, 0 if it ended in good order
-- Returns {how many went back, how many records of another version stay}

-- include records
-- include places
-- include put_back

local leases, held, holder, renewals = KEYS[2], KEYS[3], ARGV[1], ARGV[2]
if renewals ~= '' and redis.call('HGET', leases, holder) ~= renewals then return {0, 0} end
redis.call('HDEL', leases, holder)
redis.call('ZREM', KEYS[4], holder)
redis.call('HDEL', held, 'cancelled')
local moved, unknown = put_back(held, tonumber(ARGV[3]), nil)
return {moved, unknown}
