-- Begin a run. Returns 0, and changes nothing, if there is a run of this id; else 1.
--
-- KEYS[1] hash of the run  KEYS[2] set of the ids of the subject's runs  KEYS[3...] lists that it joins
-- ARGV[1] its id  ARGV[2] lifetime in seconds  ARGV[3] first step  ARGV[4...] fields and values

-- include lists

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = now()
redis.call('HSET', KEYS[1], 'at:' .. ARGV[3], time, 'step', ARGV[3], 'came_from', '', unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
join({unpack(KEYS, 3)}, ARGV[1], time, ARGV[2])
return 1
