-- What wrk sends: POST with the headers of a signed Invoke of type Event. Arguments: authorization, event.
function init(args)
  wrk.method = "POST"
  wrk.body = args[2]
  wrk.headers["Authorization"] = args[1]
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Amz-Invocation-Type"] = "Event"
end
