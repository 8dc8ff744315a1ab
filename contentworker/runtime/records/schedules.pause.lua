-- Pause a schedule, and note who did it, unless it is paused already. Returns 0 if it was, else 1.
--
-- KEYS[1] hash: schedule -> '[who, seconds since 1970]'
-- ARGV[1] schedule  ARGV[2] who, as JSON

return redis.call('HSETNX', KEYS[1], ARGV[1], '[' .. ARGV[2] .. ',' .. redis.call('TIME')[1] .. ']')
