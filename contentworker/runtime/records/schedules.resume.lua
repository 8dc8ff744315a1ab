-- End the pause of a schedule; its moments until now are not sent later. Returns 0 if it had none, else 1.
--
-- KEYS[1] hash of the paused schedules  KEYS[2] hash: schedule -> moments up to this time are done with
-- ARGV[1] schedule

if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
-- A schedule that no beat has seen counts from when one does.
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
    local now = redis.call('TIME')
    redis.call('HSET', KEYS[2], ARGV[1], string.format('%d.%06d', now[1], now[2]))
end
return 1
