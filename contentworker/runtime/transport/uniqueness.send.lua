-- Send a message if its lock is free, and take the lock. Or put it in the place of the one that has the lock.
--
-- KEYS[1] lock  KEYS[2] REVOKED  KEYS[3] LEASES  KEYS[4] DELAYED  KEYS[5] a list, or DELAYED
-- ARGV[1] id of the task  ARGV[2] turn  ARGV[3] milliseconds until the lock expires
-- ARGV[4] how long it is kept: queued, running or ttl
-- ARGV[5] id of the task whose message this one replaces; empty: none
-- ARGV[6] 1 if a later message may replace this one  ARGV[7] when it is due, in milliseconds; empty: now
-- ARGV[8] the message, or a record of it for DELAYED
-- ARGV[9] start of the keys of superseded turns  ARGV[10] start of the keys of what holders hold
-- Returns {1, ''} if it is sent, else {0, id of the task that has the lock; empty: none}

local lock, revoked, leases, delayed, place = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, turn, lifetime, kept, replaced = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local owner, current, member, holder, tag =
    unpack(redis.call('HMGET', lock, 'id', 'turn', 'member', 'holder', 'tag'))
if current == turn then return {1, ''} end -- sent before, and the answer was lost
if owner and redis.call('ZSCORE', revoked, owner) then
    -- It will not run, so it holds up no other; but one that runs already goes on.
    local runs = kept == 'running' and holder and redis.call('HEXISTS', leases, holder) == 1
        and redis.call('HEXISTS', ARGV[10] .. holder, tag) == 1
    if not runs then owner = false end
end
if owner and owner ~= replaced then return {0, owner} end
if not owner and replaced ~= '' then return {0, ''} end
-- First what a full server refuses.
if ARGV[7] == '' then
    redis.call('LPUSH', place, ARGV[8])
else
    redis.call('ZADD', place, ARGV[7], ARGV[8])
    if kept ~= 'ttl' then
        local time = redis.call('TIME')
        lifetime = lifetime + math.max(0, ARGV[7] - time[1] * 1000 - time[2] / 1000)
    end
end
if owner and not (member and redis.call('ZREM', delayed, member) == 1) then
    redis.call('SET', ARGV[9] .. current, '', 'PX', math.floor(lifetime))
end
redis.call('DEL', lock)
redis.call('HSET', lock, 'id', id, 'turn', turn)
if ARGV[6] == '1' and ARGV[7] ~= '' then redis.call('HSET', lock, 'member', ARGV[8]) end
redis.call('PEXPIRE', lock, math.floor(lifetime))
return {1, ''}
