-- Renew a lease, move due messages into their lists, and read all leases.
--
-- KEYS[1] RETURNED  KEYS[2] LEASES  KEYS[3] DELAYED
-- ARGV[1] holder    ARGV[2] most messages to move
-- Returns {1 if the lease still stood, how many messages moved, {holder, renewals, holder, renewals, ...}}

-- include records

local leases, delayed = KEYS[2], KEYS[3]
local holder, limit = ARGV[1], ARGV[2]
redis.call('HDEL', leases, '')
local alive = redis.call('HEXISTS', leases, holder)
if alive == 1 then redis.call('HINCRBY', leases, holder, 1) end
local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now_milliseconds(), 'LIMIT', 0, limit)
local promoted = 0
for i = #due, 1, -1 do
    local list, raw, deaths = unpack_record(due[i])
    if list then
        redis.call('ZREM', delayed, due[i])
        put('RPUSH', list, raw, deaths)
        promoted = promoted + 1
    end
end
return {alive, promoted, redis.call('HGETALL', leases)}
