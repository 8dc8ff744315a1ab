-- Keep a value of a run, unless the run is gone or a first delivery has kept one. Returns 1 if it is kept now.
--
-- KEYS[1] hash of the run
-- ARGV[1] field     ARGV[2] value

if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
