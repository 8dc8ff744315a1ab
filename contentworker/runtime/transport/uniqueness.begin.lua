-- Let go of a lock that is held until the work begins. Returns 0 if the message is superseded, else 1.
--
-- KEYS[1] lock  KEYS[2] mark that the turn is superseded
-- ARGV[1] id of the task  ARGV[2] turn

if ARGV[2] ~= '' and redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local id, turn = unpack(redis.call('HMGET', KEYS[1], 'id', 'turn'))
if id == ARGV[1] and turn == ARGV[2] then redis.call('DEL', KEYS[1]) end
return 1
