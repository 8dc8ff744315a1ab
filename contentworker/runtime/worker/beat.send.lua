-- Send the message of a schedule once. Returns 0 if another beat has sent it meanwhile, or it is paused, else 1.
--
-- KEYS[1] hash: schedule -> moments up to this time are done with  KEYS[2] list
-- KEYS[3] hash: schedule -> when it was last sent                  KEYS[4] hash of the paused schedules
-- ARGV[1] schedule  ARGV[2] its field of KEYS[1], as far as is known  ARGV[3] now  ARGV[4] message

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[4]) -- first, as it is what a full server refuses
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return 1
