-- The limits of a provider, shared by all processes: state of one model in one key, read and written as JSON.
-- ARGV[1] is JSON; `asked.call` names one of the functions below. Times are milliseconds by the clock of Redis.

local asked = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = cjson.decode(redis.call('GET', KEYS[1]) or '{}')
state.learned = state.learned or {}
state.ours = state.ours or {}      -- until when the granted calls take, at our pace
state.theirs = state.theirs or {}  -- when the provider's bucket is full again, by its own headers
local function limit(name) return asked.configured[name] or state.learned[name] end
local function each(name) return 60000 / (limit(name) * asked.pace) end
local function answer(found)
  found.limits = {requests = limit('requests'), tokens = limit('tokens'),
                  texts = state.learned.texts, longest = state.learned.longest}
  redis.call('SET', KEYS[1], cjson.encode(state), 'PX', asked.kept)
  return cjson.encode(found)
end

local calls = {}

-- May a call be made, and after which wait?
function calls.enter()
  local function refuse(verdict, wait, why)
    return answer({verdict = verdict, wait = math.ceil(wait), at = now + wait, why = why, failures = state.failures})
  end

  if state.open_until and not asked.trying then
    local shut = math.max(state.open_until, state.trial_until or 0) - now
    if state.open_until <= now then shut = math.min(shut, asked.look) end
    if shut > 0 then return refuse('open', shut) end
  end
  if asked.divisible and limit('tokens') and asked.costs.tokens > limit('tokens') * asked.largest then
    return refuse('large', 0)
  end

  local pause = math.max(state.pause_until or 0, now)
  local wait, why, ours = pause - now, 'pause', {}
  if not asked.granted then
    wait = math.max(wait, (state.turn_at or 0) - now)
    for name, cost in pairs(asked.costs) do
      if limit(name) then
        local start = math.max(state.ours[name] or 0, pause)
        ours[name] = start + cost * each(name)
        local ahead = math.max(0, 1000 - each(name)) + asked.borrows[name] * 60000
        local theirs = (state.theirs[name] or 0) - math.max(0, limit(name) - cost) * each(name)
        local room = math.max(start - ahead, theirs) - now
        if room > wait then wait, why = room, name end
      end
    end
  end
  if wait > asked.patience then return refuse('limited', wait, why) end

  wait = math.ceil(wait)
  for name, busy in pairs(ours) do
    state.ours[name] = busy
    if state.theirs[name] then
      state.theirs[name] = math.max(state.theirs[name], now) + asked.costs[name] * each(name)
    end
  end
  if state.refused and not asked.granted then state.turn_at = now + wait + asked.turn end
  local trial = state.open_until ~= nil
  if trial then state.trial_until = now + wait + asked.trial end
  -- What an answer would record: the end of failures and refusals, and how many tokens it took.
  local plain = not (state.failures or state.open_until or state.refused or limit('tokens'))
  return answer({verdict = 'go', wait = wait, trial = trial, plain = plain})
end

-- What became of a call: its tokens, the provider's own limits, a refusal, a failure.
function calls.leave()
  if asked.used and limit('tokens') and state.ours.tokens then
    state.ours.tokens = state.ours.tokens + (asked.used - asked.costs.tokens) * each('tokens')
  end
  for name, most in pairs(asked.learned) do state.learned[name] = most end
  for name, left in pairs(asked.left) do state.theirs[name] = now + (limit(name) - left) * each(name) end

  local changed, at = nil, now
  if asked.outcome == 'failed' then
    if asked.tried or not state.open_until then
      state.failures = (state.failures or 0) + 1
      if asked.tried or state.failures >= asked.failures then
        local length = math.min(asked.longest_open, asked.shortest_open * 2 ^ (state.opened or 0))
        state.opened = math.min((state.opened or 0) + 1, 20)
        state.open_until, state.trial_until = now + math.max(length, asked.retry_after), nil
        changed, at = 'opened', state.open_until
      end
    end
  elseif asked.outcome == 'left' then
    if asked.tried then state.trial_until = nil end
  else
    if state.open_until then changed = 'closed' end
    state.failures, state.opened, state.open_until, state.trial_until = nil, nil, nil, nil
    if asked.outcome == 'limited' then
      local pause = asked.retry_after
      if now >= (state.pause_until or 0) then
        state.refused = math.min((state.refused or 0) + 1, 20)
        pause = math.max(pause, math.min(asked.longest_pause, asked.shortest_pause * 2 ^ (state.refused - 1)))
      end
      state.pause_until = math.max(state.pause_until or 0, now + pause)
    elseif now >= (state.pause_until or 0) then
      state.refused, state.turn_at = nil, nil
    end
  end
  return answer({changed = changed, at = at, wait = math.max(0, (state.pause_until or 0) - now)})
end

-- The sizes that the provider takes, which never grow.
function calls.learn()
  for name, most in pairs(asked.sizes) do state.learned[name] = math.min(most, state.learned[name] or most) end
  return answer({})
end

function calls.look()
  return cjson.encode({open_until = state.open_until})
end

return calls[asked.call]()
