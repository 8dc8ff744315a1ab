-- Renew a lease, move due messages into their lists, and say which other leases are silent.
--
-- KEYS[1] RETURNED  KEYS[2] LEASES  KEYS[3] DELAYED  KEYS[4] RENEWED  KEYS[5] PARKED
-- ARGV[1] holder    ARGV[2] most messages to move
-- ARGV[3] milliseconds without a renewal after which a lease is silent  ARGV[4] silent ones to pass over
-- ARGV[5] most silent ones to return; ten times as many if fewer holders than that are alive
-- ARGV[6] milliseconds that this holder lets pass beyond the usual time between two beats
-- ARGV[7] the most that any holder lets pass so  ARGV[8] 1 to look at all, 0 to leave out what changes rarely
-- Returns {1 if the lease still stood, how many messages moved, {holder, renewals, holder, renewals, ...}, how many
-- silent ones the next beat has to pass over (0: none is left), Redis's clock in milliseconds, when the next message is
-- due ('' if none is, or if this holder's next beat is not late), {list that has parked messages, ...} or nothing if that
-- was left out}
--
-- RENEWED only says at whom to look, so that a beat costs the same with 10 workers and with 2,000. Whether a
-- holder is dead is decided by LEASES and the clock of who looks.

-- include records

-- Who has renewed this recently counts as alive, also where a busy Redis makes all of them late.
local ALIVE_MILLISECONDS = 30000

local leases, delayed, renewed = KEYS[2], KEYS[3], KEYS[4]
local holder, limit = ARGV[1], ARGV[2]
local now = math.floor(now_milliseconds())
redis.call('HDEL', leases, '')
local alive = redis.call('HEXISTS', leases, holder)
if alive == 1 then
    redis.call('HINCRBY', leases, holder, 1)
    redis.call('ZADD', renewed, now + ARGV[6], holder)
end
local looks_at_all = ARGV[8] == '1'
-- Workers of the release before are in LEASES only: they count as silent, and are looked at in each beat.
if looks_at_all and redis.call('HLEN', leases) > redis.call('ZCARD', renewed) then
    for _, name in ipairs(redis.call('HKEYS', leases)) do redis.call('ZADD', renewed, 'NX', 0, name) end
end
-- If Redis's clock was put back, these renewals lie in the future, and no beat would name their holders.
if looks_at_all then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', renewed, '(' .. now + ARGV[7], '+inf')) do
        redis.call('ZADD', renewed, now, name)
    end
end
local skip, most, until_when = tonumber(ARGV[4]), tonumber(ARGV[5]), now - ARGV[3]
local names = redis.call('ZRANGEBYSCORE', renewed, '-inf', until_when, 'LIMIT', skip, most)
if #names == most and redis.call('ZCOUNT', renewed, now - ALIVE_MILLISECONDS, '+inf') <= most then
    most = most * 10
    names = redis.call('ZRANGEBYSCORE', renewed, '-inf', until_when, 'LIMIT', skip, most)
end
local silent = {}
for _, name in ipairs(names) do
    local renewals = redis.call('HGET', leases, name)
    if renewals then
        silent[#silent + 1] = name
        silent[#silent + 1] = renewals
    else -- a worker of the release before took what it held
        redis.call('ZREM', renewed, name)
    end
end
local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, limit)
local promoted = 0
for i = #due, 1, -1 do
    local list, raw, deaths = unpack_record(due[i])
    if list then
        redis.call('ZREM', delayed, due[i])
        put('RPUSH', list, raw, deaths)
        promoted = promoted + 1
    end
end
local next_due = ARGV[6] ~= '0' and redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or ''
local parked = looks_at_all and redis.call('HKEYS', KEYS[5]) or nil
return {alive, promoted, silent, #names == most and skip + most or 0, now, next_due, parked}
