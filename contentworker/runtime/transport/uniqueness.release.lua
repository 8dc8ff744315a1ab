-- Let go of the lock of a message that has ended, unless another one has it by now.
--
-- KEYS[1] lock  KEYS[2] LEASES
-- ARGV[1] id of the task  ARGV[2] turn  ARGV[3] holder  ARGV[4] tag  ARGV[5] start of the keys of what holders hold

local id, turn, holder, tag = unpack(redis.call('HMGET', KEYS[1], 'id', 'turn', 'holder', 'tag'))
if id ~= ARGV[1] or turn ~= ARGV[2] then return 0 end
local is_held_by_another = holder and (holder ~= ARGV[3] or tag ~= ARGV[4])
    and redis.call('HEXISTS', KEYS[2], holder) == 1 and redis.call('HEXISTS', ARGV[5] .. holder, tag) == 1
return is_held_by_another and 0 or redis.call('DEL', KEYS[1])
