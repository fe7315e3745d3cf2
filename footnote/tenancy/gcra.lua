-- The generic cell rate algorithm: a limit of requests in a window that slides, with one number a key.
-- Milliseconds by the clock of Redis.

local asked = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local each = asked.window / asked.limit
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = tat + each - now - asked.window
if wait < 0.001 then  -- what doubles this large cannot tell from nothing
  wait, tat = 0, tat + each
  redis.call('SET', KEYS[1], string.format('%.3f', tat), 'PX', math.ceil(tat - now))
end
local free = asked.window - (tat - now)
local left = math.max(0, math.floor(free / each + 0.001))
return cjson.encode({left = left, more = wait > 0 and wait or (left + 1) * each - free, wait = wait})
