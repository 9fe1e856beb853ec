"""What Redis does for the leases: each script is one step for it, nobody sees half of one.

Keys, each with our prefix, on every host of REDIS_URL for what is kept there:
  processes           sorted set   process -> when its lease ends
  held:<process>      set          `r <room> <user>` and `n <name>`: what to give up for it; and `?`
                                   when it had been given up itself and does not know it yet
  room:<id>           hash         user -> `<processes that hold them> <username>`
  count:<name>        hash         process -> how many
  told:<room> <user>  string       a process tells the room that they left, so that no other does
  epoch               string       made up when there is none: another one means that all was lost
"""

MAX_NAMED = 100
"""Names in `ready` (contract §3)."""

# Who holds something has a lease, also one who was given up and has not noticed: it may die before
# it does, and what has no lease would be held for ever.
LEASED = """
local function leased(processes, held, me, lease)
  local time = redis.call('TIME')
  local ends = time[1] + time[2] / 1000000 + tonumber(lease)
  if redis.call('ZADD', processes, 'NX', ends, me) == 1 then redis.call('SADD', held, '?') end
end
"""
ENTER = f"""{LEASED}
local room, held = KEYS[1], KEYS[2]
local user, name, pair = ARGV[3], ARGV[4], ARGV[5]
local first = 0
leased(KEYS[3], held, ARGV[1], ARGV[2])
if redis.call('SADD', held, pair) == 1 then
  local there = redis.call('HGET', room, user)
  local n = there and tonumber(string.match(there, '^%d+')) or 0
  redis.call('HSET', room, user, (n + 1) .. ' ' .. name)
  if n == 0 then first = 1 end
end
local count = redis.call('HLEN', room)
local names = {{}}
local page = redis.call('HSCAN', room, 0, 'COUNT', {MAX_NAMED})[2]
for i = 2, math.min(#page, {2 * MAX_NAMED}), 2 do
  names[#names + 1] = string.match(page[i], '^%d+ (.*)$')
end
return {{first, count, names}}
"""
LEAVE = """
local room, held = KEYS[1], KEYS[2]
local user, pair = ARGV[1], ARGV[2]
local last = 0
if redis.call('SREM', held, pair) == 1 then
  local there = redis.call('HGET', room, user)
  local n = there and tonumber(string.match(there, '^%d+')) or 1
  if n > 1 then
    redis.call('HSET', room, user, (n - 1) .. ' ' .. string.match(there, '^%d+ (.*)$'))
  else
    redis.call('HDEL', room, user)
    last = 1
  end
end
return {last, redis.call('HLEN', room)}
"""
COUNT = f"""{LEASED}
local count, held = KEYS[1], KEYS[2]
local process, n, name = ARGV[1], tonumber(ARGV[3]), ARGV[4]
if n > 0 then
  leased(KEYS[3], held, process, ARGV[2])
  redis.call('HSET', count, process, n)
  redis.call('SADD', held, name)
else
  redis.call('HDEL', count, process)
  redis.call('SREM', held, name)
end
local total = 0
for _, each in ipairs(redis.call('HVALS', count)) do total = total + tonumber(each) end
return total
"""
# Whether the lease was still good: if not, somebody may have given up what we held. And the epoch.
HEARTBEAT = """
local processes, epoch, held = KEYS[1], KEYS[2], KEYS[3]
local me, lease, new_epoch = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local ends = redis.call('ZSCORE', processes, me)
local good = ends and tonumber(ends) > now and redis.call('SREM', held, '?') == 0
redis.call('ZADD', processes, now + lease, me)
redis.call('SET', epoch, new_epoch, 'NX')
return {good and 1 or 0, redis.call('GET', epoch)}
"""
# Gives up a part of what one dead process held: those who are gone with it, and whether to go on.
REAP = """
local prefix = ARGV[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]
if not dead then return {0, {}} end
local held, gone = prefix .. 'held:' .. dead, {}
for _, thing in ipairs(redis.call('SPOP', held, 200)) do
  local room, user = string.match(thing, '^r (%d+) (%d+)$')
  if room then
    local key = prefix .. 'room:' .. room
    local there = redis.call('HGET', key, user)
    local n = there and tonumber(string.match(there, '^%d+')) or 0
    if n > 1 then
      redis.call('HSET', key, user, (n - 1) .. ' ' .. string.match(there, '^%d+ (.*)$'))
    elseif n == 1 then
      redis.call('HDEL', key, user)
      gone[#gone + 1] = room
      gone[#gone + 1] = string.match(there, '^%d+ (.*)$')
      gone[#gone + 1] = tostring(redis.call('HLEN', key))
    end
  elseif string.sub(thing, 1, 2) == 'n ' then
    redis.call('HDEL', prefix .. 'count:' .. string.sub(thing, 3), dead)
  end
end
if redis.call('SCARD', held) == 0 then redis.call('ZREM', KEYS[1], dead) end
return {1, gone}
"""
HELD = "return redis.call('SMEMBERS', KEYS[1])"
ONLINE = "return redis.call('HMGET', KEYS[1], unpack(ARGV))"
# Of processes that each had the last socket of a user whom nobody holds, the first to ask tells it.
MAY_PUBLISH_EXIT = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 0 end
return redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[2]) and 1 or 0
"""
