-- release: gives a name back, gives up a wait, or undoes an acquire whose outcome is unknown: one and the same.
--
-- KEYS  1 K the lock   2 Q its queue   3 F the token counter
-- ARGV  1 owner   2 inbox, or '' (by hand: no queue entry is touched)   3 what it asked with, missing: '1', exclusive
--       4 and on, by force: the other holders that were met
-- Reply 1 (released, the common case), or {status, more}:
--       status 1 released, 0 nobody holds it, -1 someone else does; more 1: waiters remain that may have it, ask again

local K, Q = KEYS[1], KEYS[2]
--@include holder.lua

if holder == ARGV[1] and redis.call('EXISTS', Q) == 0 then
  redis.call('DEL', K)
  return 1
end

--@include token.lua
--@include holders.lua

-- The same of one who shares the name.
if holder == SHARED and not ARGV[4] and redis.call('EXISTS', Q) == 0 and redis.call('ZREM', H, ARGV[1]) == 1 then
  if holding == 1 then
    redis.call('DEL', K)
  else
    follow()
  end
  return 1
end

--@include hand_over.lua

local mine = holder == ARGV[1]
local head, time = watched()
if mine then
  holder = false
elseif holder == SHARED then
  local ended = redis.call('ZREM', H, ARGV[1], unpack(ARGV, 4))
  mine = ended > 0
  holding = holding - ended
  if holding == 0 then
    holder = false
  elseif mine then
    follow()
  end
end
local others = holder -- who has it besides
if holder and holder ~= SHARED then
  head = redis.call('ZRANGE', Q, 0, 0)[1]
end
local member = '1|' .. ARGV[2] .. '|' .. (ARGV[3] or '1') .. '|' .. ARGV[1]
local left = ARGV[2] ~= '' and redis.call('ZREM', Q, member) == 1

local _, popped, more = hand_over(nil)
if not popped and holder then
  local nearer = false
  if holder == SHARED then
    local now_head, now_time = watched()
    nearer = now_head and now_time < time
  end
  if left and head == member or nearer then
    tell_head()
  elseif left then
    keep_queue()
  end
end
if not holder and not more then
  redis.call('DEL', K)
end
return {mine and 1 or (others and -1 or 0), more and 1 or 0}
