-- Nine of ten actions read a page; one creates a snippet, and reads a page, which shows the flash.

local form = "title=Old+pond&content=furu+ike+ya&days=365&csrfmiddlewaretoken="
local waiting, first, last = {}, 1, 0

function init(args)
  cookies, csrf, delay = {}, args[2], tonumber(args[3])
  for token in io.lines(args[1]) do
    cookies[#cookies + 1] = "sessionid=" .. token .. "; csrftoken=" .. csrf
  end
  math.randomseed(tonumber(args[4]))
end

function request()
  -- Not at once: the creation may still be under way on another connection.
  if last - first >= delay then
    first = first + 1
    return wrk.format("GET", "/", {Cookie = waiting[first - 1]})
  end
  local cookie = cookies[math.random(#cookies)]
  if math.random() < 0.1 then
    last = last + 1
    waiting[last] = cookie
    local headers = {Cookie = cookie, ["Content-Type"] = "application/x-www-form-urlencoded"}
    return wrk.format("POST", "/snippet/create/", headers, form .. csrf)
  end
  return wrk.format("GET", "/", {Cookie = cookie})
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "\n{\"requests\": %d, \"seconds\": %f, \"p50\": %f, \"p99\": %f, \"errors\": %d}\n",
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
