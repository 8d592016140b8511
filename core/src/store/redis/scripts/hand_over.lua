-- Hand-over: the heads of the queue that may have the name get it, one after the other. Included by wait.lua, release.lua and keep.lua.
--
-- A queue member is '1|<inbox>|<limit>|<owner>' (1 is the wire version; the limit is 1 exclusive, 0 shared, n at most n
-- holders). An inbox is a client's id, 32 hex digits: the client listens on 'lock||inbox||<client id>', behind the prefix that K
-- has, too. In a cluster it is 's<client id>', and the client listens on the sharded channel of K's slot,
-- 'lock||inbox||{lock||<n>}||<client id>', whose hash tag is that of KEYS[3]; with a prefix that has a hash tag itself, on the
-- same as without a cluster.
-- Inbox messages are lines: '1', then 'grant', K, owner, token, claim window in ms, or 'next', K, owner, and the ms that the
-- head has to watch (0: it may have the name by now, and asks; -1: there is no end).

local CLAIM_WINDOW_MS = '2000' -- a grant is claimed within this, or the name goes on to the next
local QUEUE_GRACE_MS = 90000 -- a queue outlives its lock by no more than this
local MAX_POPS = 100 -- waiters admitted or passed over by one script, so that none runs long

local INBOX = string.match(KEYS[1], '^(.-)lock||') .. 'lock||inbox||'
local TAG = string.match(KEYS[3], '^({[^{}]*lock||%d+})||')

local function parse(member)
  return string.match(member, '^1|(s?%x+)|(%d+)|(.*)$')
end

-- One of another wire version is passed over when its turn comes.
local function limit_of(member)
  local _, limit = parse(member)
  return tonumber(limit or EXCLUSIVE)
end

-- The channel of an inbox, and whether it is a sharded one.
local function channel_of(inbox)
  local id = string.match(inbox, '^s(.*)$')
  if id then
    return INBOX .. (TAG and TAG .. '||' or '') .. id, true
  end
  return INBOX .. inbox, false
end

-- Those of `members` whose process has gone: nobody subscribes to their channel. Who listens by pattern hears everything, and
-- does not count. A user who may not ask for that is told of none.
local function find_gone(members)
  local gone = {}
  for _, kind in ipairs({'NUMSUB', 'SHARDNUMSUB'}) do
    local channels, theirs = {}, {}
    for _, member in ipairs(members) do
      local inbox = parse(member)
      local channel, sharded = channel_of(inbox or '')
      if inbox and sharded == (kind == 'SHARDNUMSUB') then
        channels[#channels + 1] = channel
        theirs[#theirs + 1] = member
      end
    end
    local counts = channels[1] and redis.pcall('PUBSUB', kind, unpack(channels)) or {}
    if not counts.err then
      for i, member in ipairs(theirs) do
        if tonumber(counts[2 * i]) == 0 then
          gone[#gone + 1] = member
        end
      end
    end
  end
  return gone
end

local function publish(member, kind, rest)
  local inbox, _, owner = parse(member)
  if not inbox then
    return 0, nil -- another wire version: it asks again by itself
  end
  local channel, sharded = channel_of(inbox)
  -- pcall: a denied or failing PUBLISH must not undo half a hand-over; the waiter's own timer finds the grant.
  local verb = sharded and 'SPUBLISH' or 'PUBLISH'
  local heard = redis.pcall(verb, channel, '1\n' .. kind .. '\n' .. KEYS[1] .. '\n' .. owner .. rest)
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
    local pttl = keep_queue()
    local time = holder == SHARED and watch(limit_of(head)) or pttl
    publish(head, 'next', '\n' .. string.format('%.0f', time))
  end
end

-- The head of the queue, and what it has to watch, where the name is shared.
local function watched()
  local head = holder == SHARED and redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  return head, head and watch(limit_of(head))
end

-- Pops heads while they may have the name. `asking` is the caller's member: alive, since it asks, and it gets the `ttl`; the others
-- get the claim window and a grant. Returns the token of the one that asked, whether any were popped, and whether there are
-- more (call again): so that nobody slips in before those who wait, a free name is held by nobody until then.
local function hand_over(asking, ttl)
  local mine, popped, changed, rest = nil, 0, false, false
  while not holder or holder == SHARED do
    if holder then
      local head = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
      if not head or not admits(limit_of(head)) then
        break
      end
    end
    if popped == MAX_POPS then
      rest = true
      break
    end
    local member = redis.call('ZPOPMIN', KEYS[2])[1]
    if not member then
      break
    end
    popped = popped + 1
    if member == asking then
      mine = next_token()
      admit(ARGV[1], limit_of(member), ttl)
      changed = holder == SHARED
    elseif not find_gone({member})[1] then
      -- Whoever asked lately may begin the lease at once, so the token is counted here and now.
      local token = string.format('%.0f', next_token())
      local heard, owner = publish(member, 'grant', '\n' .. token .. '\n' .. CLAIM_WINDOW_MS)
      if heard ~= 0 then
        admit(owner, limit_of(member), CLAIM_WINDOW_MS)
        changed = holder == SHARED
      end
    end
  end
  if changed then
    follow()
  end
  if rest and not holder then
    redis.call('SET', KEYS[1], HANDING_OVER, 'PX', CLAIM_WINDOW_MS)
    keep_queue()
  elseif popped > 0 then
    tell_head()
  end
  return mine, popped > 0, rest and not mine
end
