// The sandbox's own routes.

async function ask(method, path, parameters = {}, body = undefined) {
  const known = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(known).toString();
  const response = await fetch(`/_sandbox/${path}${query ? `?${query}` : ""}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) {
    const reason = answer.reasons?.[0];
    throw new Error(reason ? `${reason.ref} ${reason.defaultMessage}`.trim() : `HTTP ${response.status}`);
  }
  return answer.result;
}

export const get = (path, parameters) => ask("GET", path, parameters);
export const post = (path, body) => ask("POST", path, {}, body);
export const remove = (path) => ask("DELETE", path);

// Calls `changed(event)` at each event. The stream is closed while the page is hidden, because a browser allows few
// connections to one address.
export function listen(changed, state) {
  let stream = null;
  const open = () => {
    if (stream || document.hidden) return;
    stream = new EventSource("/_sandbox/events");
    stream.onopen = () => state("live");
    stream.onerror = () => {
      state("lost");
      // After some refusals a browser gives up for good.
      if (stream?.readyState === EventSource.CLOSED) {
        stream = null;
        setTimeout(open, 2000);
      }
    };
    stream.onmessage = (message) => changed(JSON.parse(message.data));
  };
  const close = () => {
    stream?.close();
    stream = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  open();
}
