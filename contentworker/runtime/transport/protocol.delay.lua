-- Move a held message to the delayed ones. Returns 0, and moves nothing, if it is due; else 1.
--
-- KEYS[1] RETURNED  KEYS[2] hash of what the holder holds  KEYS[3] DELAYED
-- ARGV[1] tag       ARGV[2] when it is due, in milliseconds since 1970

-- include records
-- include places

local held, delayed = KEYS[2], KEYS[3]
local tag, due = ARGV[1], ARGV[2]
if tonumber(due) <= now_milliseconds() then return 0 end
local record = redis.call('HGET', held, tag)
if not record then return 1 end
free(held, tag)
redis.call('HDEL', held, tag, 'started:' .. tag)
redis.call('ZADD', delayed, due, record)
return 1
