-- Set a time that lies in the future, or is none, to now. Returns 0 if another beat did so meanwhile, else 1.
--
-- KEYS[1] hash
-- ARGV[1] field  ARGV[2] its value, as far as is known  ARGV[3] now

if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
