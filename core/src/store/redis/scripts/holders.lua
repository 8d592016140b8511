-- H, the holders of a shared name: a sorted set, member = owner, score = the end of its time in ms of the server's clock.
-- Included by wait.lua, release.lua and keep.lua, after holder.lua and token.lua. Whatever H holds is void where K is not the marker.

-- It is tagged as Q is: '{K}||||holders', 'K||||holders' or '{lock||<n>}||||holders||K'.
local H = KEYS[2]
if string.sub(H, -9) == '||||queue' then
  H = string.sub(H, 1, -10) .. '||||holders'
else
  H = string.sub(H, 1, -#KEYS[1] - 12) .. '||||holders||' .. KEYS[1]
end

local EXCLUSIVE = 1
local READERS = 0 -- a limit: as many as there are

local function ms()
  return math.floor(now() / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end

-- How many hold a shared name.
local holding = 0
if holder == SHARED then
  repeat
    local ended = redis.call('ZRANGE', H, '-inf', text(ms()), 'BYSCORE', 'LIMIT', 0, 1000)
    if ended[1] then
      redis.call('ZREM', H, unpack(ended))
    end
  until #ended < 1000
  holding = redis.call('ZCARD', H)
  if holding == 0 then
    holder = false
  end
end

-- Whether one that asks with this limit may have the name now, if nobody is before it.
local function admits(limit)
  if holder and holder ~= SHARED then
    return false
  end
  return not holder or limit == READERS or limit ~= EXCLUSIVE and holding < limit
end

-- K and H live until the last holder's time ends; `first`: there is one holder, who was just admitted for so many ms.
local function follow(first)
  if first then
    redis.call('PEXPIRE', H, first)
    return
  end
  local last = redis.call('ZRANGE', H, -1, -1, 'WITHSCORES')[2]
  local left = text(math.max(last - ms(), 1))
  redis.call('PEXPIRE', KEYS[1], left)
  redis.call('PEXPIRE', H, left)
end

-- Who has the name, with others, has it for so many ms. A server that is out of memory refuses a script whose first write needs some,
-- and who holds a name keeps it: so the first is a PEXPIRE.
local function extend(owner, ttl)
  local last = redis.call('ZRANGE', H, -1, -1, 'WITHSCORES')
  local ends = ms() + ttl
  local left = text(math.max(ends, last[2]) - ms())
  redis.call('PEXPIRE', H, left)
  redis.call('ZADD', H, text(ends), owner)
  if ends < tonumber(last[2]) and last[1] == owner then
    follow()
  elseif ends > tonumber(last[2]) then
    redis.call('PEXPIRE', KEYS[1], left)
  end
end

-- Who was found to be admitted has the name for so many ms. After the last of a shared one: follow().
local function admit(owner, limit, ttl)
  if limit == EXCLUSIVE then
    redis.call('SET', KEYS[1], owner, 'PX', ttl)
    holder = owner
    return
  end
  if holder ~= SHARED then
    redis.call('DEL', H)
    redis.call('SET', KEYS[1], SHARED, 'PX', ttl)
    holder = SHARED
    holding = 0
  end
  redis.call('ZADD', H, text(ms() + ttl), owner)
  holding = holding + 1
end

-- What the head of the queue has to watch, in ms: the end after which there is room for it if nobody releases. -1: there is no end.
local function watch(limit)
  if holder ~= SHARED then
    return redis.call('PTTL', KEYS[1])
  end
  if admits(limit) then
    return 0
  end
  local at = holding - limit
  return math.max(redis.call('ZRANGE', H, at, at, 'WITHSCORES')[2] - ms(), 1)
end
