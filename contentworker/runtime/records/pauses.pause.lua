-- Pause a queue, and note who did it, unless it is paused already. Returns 0 if it was, else 1.
--
-- KEYS[1] set of the paused queues  KEYS[2] hash: queue -> '[who, seconds since 1970]'
-- ARGV[1] queue     ARGV[2] who, as JSON

if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], '[' .. ARGV[2] .. ',' .. redis.call('TIME')[1] .. ']')
return 1
