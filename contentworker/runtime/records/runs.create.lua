-- Begin a run. Returns 0, and changes nothing, if there is a run of this id; else 1.
--
-- KEYS[1] hash of the run, 'contentworker:run:' and its id  KEYS[2] set of the ids of the subject's runs
-- ARGV[1] lifetime in seconds  ARGV[2] first step  ARGV[3...] fields and values

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'at:' .. ARGV[2], time[1] + time[2] / 1000000, 'step', ARGV[2], 'came_from', '',
    unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], string.sub(KEYS[1], #'contentworker:run:' + 1))
redis.call('EXPIRE', KEYS[2], ARGV[1])
return 1
