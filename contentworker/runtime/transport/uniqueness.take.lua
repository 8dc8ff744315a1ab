-- Take the lock for a message that was fetched, unless another one has it.
--
-- KEYS[1] lock  KEYS[2] mark that the turn is superseded  KEYS[3] LEASES  KEYS[4] REVOKED
-- ARGV[1] id of the task  ARGV[2] turn; empty: its sender took no lock  ARGV[3] milliseconds until the lock expires
-- ARGV[4] how long it is kept: queued, running or ttl  ARGV[5] 1 if the message was let through before
-- ARGV[6] holder  ARGV[7] tag  ARGV[8] start of the keys of what holders hold
-- Returns {'own', ''}, {'superseded', ''} or {'other', id of the task that has the lock}. Instead of the last two,
-- {'not held', ''} if the message is not held here: after a failover, this may be the old master

local lock, superseded, leases, revoked = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, turn, kept, again, holder, tag = ARGV[1], ARGV[2], ARGV[4], ARGV[5] == '1', ARGV[6], ARGV[7]
redis.call('HDEL', lock, 'member') -- a full server refuses a script that begins with a write that may grow
local function drop(answer, owner)
    return redis.call('HEXISTS', ARGV[8] .. holder, tag) == 1 and {answer, owner} or {'not held', ''}
end
if turn ~= '' and redis.call('EXISTS', superseded) == 1 then return drop('superseded', '') end
local owner, its_holder, its_tag = unpack(redis.call('HMGET', lock, 'id', 'holder', 'tag'))
local is_held = its_holder and (its_holder ~= holder or its_tag ~= tag)
    and redis.call('HEXISTS', leases, its_holder) == 1
    and redis.call('HEXISTS', ARGV[8] .. its_holder, its_tag) == 1
if owner and owner ~= id then
    -- What was let through before is lost if it gives way. Only a run at the same time is never allowed.
    if again and kept ~= 'running' then return {'own', ''} end
    -- A revoked one will not run, so it holds up no other; but one that runs already goes on.
    local is_free = redis.call('ZSCORE', revoked, owner) and not (is_held and kept == 'running')
    if not is_free then return drop('other', owner) end
    owner = false
elseif owner and is_held then
    return drop('other', owner) -- two messages with the same id
end
if kept == 'ttl' and (owner or again) then return {'own', ''} end
redis.call('HSET', lock, 'id', id, 'turn', turn, 'holder', holder, 'tag', tag)
redis.call('PEXPIRE', lock, ARGV[3])
return {'own', ''}
