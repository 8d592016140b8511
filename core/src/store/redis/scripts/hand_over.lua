-- Hand-over: gives a free name to its first live waiter. Included by wait.lua and release.lua.
--
-- A queue member is '1|<client id>|<owner>' (1 is the wire version); a client listens on 'lock||inbox||<client id>', behind
-- the prefix that K has, too.
-- Inbox messages are lines: '1', then 'grant', K, owner, token, claim window in ms, or 'next', K, owner, PTTL of K in ms.

local CLAIM_WINDOW_MS = '2000' -- a grant is claimed within this, or the name goes on to the next
local QUEUE_GRACE_MS = 90000 -- a queue outlives its lock by no more than this
local MAX_POPS = 100 -- dead waiters passed over by one script, so that none runs long

local INBOX = string.match(KEYS[1], '^(.-)lock||') .. 'lock||inbox||'

local function parse(member)
  return string.match(member, '^1|(%x+)|(.*)$')
end

-- Those of `members` whose process has gone: nobody subscribes to their channel. Who listens by pattern hears everything, and
-- does not count. A user who may not ask for that is told of none.
local function find_gone(members)
  local channels = {}
  for i, member in ipairs(members) do
    channels[i] = INBOX .. (parse(member) or '')
  end
  local counts = redis.pcall('PUBSUB', 'NUMSUB', unpack(channels))
  local gone = {}
  if not counts.err then
    for i, member in ipairs(members) do
      if parse(member) and tonumber(counts[2 * i]) == 0 then
        gone[#gone + 1] = member
      end
    end
  end
  return gone
end

local function publish(member, kind, rest)
  local id, owner = parse(member)
  if not id then
    return 0, nil -- another wire version: it asks again by itself
  end
  -- pcall: a denied or failing PUBLISH must not undo half a hand-over; the waiter's own timer finds the grant.
  local heard = redis.pcall('PUBLISH', INBOX .. id, '1\n' .. kind .. '\n' .. KEYS[1] .. '\n' .. owner .. rest)
  return heard, owner
end

-- Keeps the queue for as long as it may be needed; returns the PTTL of K.
local function keep_queue()
  local pttl = redis.call('PTTL', KEYS[1])
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(pttl, 0) + QUEUE_GRACE_MS))
  return pttl
end

-- Tells the head of the queue, if there is one, that it is next, with the time it has to watch; and keeps the queue.
local function tell_head()
  local head = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if head then
    publish(head, 'next', '\n' .. string.format('%.0f', keep_queue()))
  end
end

-- Pops waiters until one is found alive. `asking` is the caller's member: alive, since it asks.
-- Returns 'asking' (popped, K is not set yet), 'granted' (K is set), 'empty', or 'more' (call again): so that nobody slips in
-- before those who wait, the name is held by nobody until then.
local function hand_over(asking)
  for _ = 1, MAX_POPS do
    local member = redis.call('ZPOPMIN', KEYS[2])[1]
    if not member then
      return 'empty'
    end
    if member == asking then
      return 'asking'
    end
    if not find_gone({member})[1] then
      -- Whoever asked lately may begin the lease at once, so the token is counted here and now.
      local token = string.format('%.0f', next_token())
      local heard, owner = publish(member, 'grant', '\n' .. token .. '\n' .. CLAIM_WINDOW_MS)
      if heard ~= 0 then
        redis.call('SET', KEYS[1], owner, 'PX', CLAIM_WINDOW_MS)
        tell_head()
        return 'granted'
      end
    end
  end
  redis.call('SET', KEYS[1], HANDING_OVER, 'PX', CLAIM_WINDOW_MS)
  keep_queue()
  return 'more'
end
