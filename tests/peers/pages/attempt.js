// Tries to open a WebSocket and to be initialized, without our client, and posts what came of it.
const { url, protocols } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const outcome = { origin, opened: false };

function post() {
  // Without CORS, so that a page without an origin can post too.
  void fetch("/outcome", { method: "POST", mode: "no-cors", body: JSON.stringify(outcome) });
}

const socket = new WebSocket(url, protocols);
socket.onopen = () => {
  outcome.opened = true;
  outcome.protocol = socket.protocol;
  const params = { protocol: "holdfast", versions: [1], client: { id: "page", name: "page" } };
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }));
};
socket.onmessage = ({ data }) => {
  outcome.role = JSON.parse(data).result.role;
  post();
};
socket.onclose = ({ code, reason }) => {
  Object.assign(outcome, { code, reason });
  post();
};
