-- Move a run from one step to another. Returns 0, and changes nothing, if it is at no such step; else 1.
--
-- KEYS[1] hash of the run
-- ARGV[1] lifetime in seconds  ARGV[2] step it is at  ARGV[3] next step  ARGV[4...] fields and values

if redis.call('HGET', KEYS[1], 'step') ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'step', ARGV[3], 'came_from', ARGV[2],
    'at:' .. ARGV[3], time[1] + time[2] / 1000000, unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
