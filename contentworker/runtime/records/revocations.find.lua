-- Returns 1 if an id is revoked, and its time is not over.
--
-- KEYS[1] REVOKED
-- ARGV[1] how long an id is kept, in microseconds  ARGV[2] id

local time = redis.call('TIME')
local oldest = time[1] * 1000000 + time[2] - ARGV[1]
local score = redis.call('ZSCORE', KEYS[1], ARGV[2])
return score and tonumber(score) >= oldest and 1 or 0
