-- Move a run from one step to another. Returns 0, and changes nothing, if it is at no such step; else 1.
--
-- KEYS[1] hash of the run  KEYS[2] start of the key of the set of the ids of the subject's runs
-- KEYS[3], KEYS[4] lists that it leaves  KEYS[5...] lists that it joins
-- ARGV[1] its id  ARGV[2] lifetime in seconds  ARGV[3] step it is at  ARGV[4] next step
-- ARGV[5...] fields and values

-- include lists

if redis.call('HGET', KEYS[1], 'step') ~= ARGV[3] then return 0 end
local time = now()
redis.call('HSET', KEYS[1], 'step', ARGV[4], 'came_from', ARGV[3], 'at:' .. ARGV[4], time, unpack(ARGV, 5))
redis.call('EXPIRE', KEYS[1], ARGV[2])
-- The set lives as long as the run: `forget` finds the run in it.
local runs_of = KEYS[2] .. redis.call('HGET', KEYS[1], 'subject')
redis.call('SADD', runs_of, ARGV[1])
redis.call('EXPIRE', runs_of, ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
join({unpack(KEYS, 5)}, ARGV[1], time, ARGV[2])
return 1
