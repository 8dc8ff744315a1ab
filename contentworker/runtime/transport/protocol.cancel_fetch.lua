-- Put back what a fetch took whose answer was lost. If the fetch has not run yet, it never will.
--
-- KEYS[1] RETURNED  KEYS[2] LEASES  KEYS[3] hash of what the holder holds
-- ARGV[1] holder    ARGV[2] number of the fetch
-- Returns 0 if the holder has no lease, else 1.

-- include records
-- include places
-- include put_back

local leases, held = KEYS[2], KEYS[3]
local holder, number = ARGV[1], ARGV[2]
if redis.call('HEXISTS', leases, holder) == 0 then return 0 end
put_back(held, nil, number)
redis.call('HDEL', held, '')
local cancelled = redis.call('HGET', held, 'cancelled')
if not cancelled or tonumber(cancelled) < tonumber(number) then
    redis.call('HSET', held, 'cancelled', number)
end
return 1
