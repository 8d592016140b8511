-- The token counter, KEYS[3]. Included by wait.lua, release.lua and keep.lua.

local clock
-- One time for all of a script, in µs.
local function now()
  if not clock then
    local time = redis.call('TIME')
    clock = time[1] * 1000000 + time[2]
  end
  return clock
end

-- It is never behind the server's clock, so that it grows across a loss of data.
local function count()
  return math.max(tonumber(redis.call('GET', KEYS[3]) or 0) or 0, now())
end

local function next_token()
  local token = count() + 1
  redis.call('SET', KEYS[3], string.format('%.0f', token))
  return token
end
