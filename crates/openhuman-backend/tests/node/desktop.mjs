// The official Socket.IO client as a desktop. It prints one JSON object per line for everything that
// happens; the test on the other side of the pipe decides whether that was right.
//
//   node desktop.mjs <url> <login token> <scenario>
import { io } from "socket.io-client";

const [url, loginToken, scenario] = process.argv.slice(2);
const tell = (on, data) => process.stdout.write(`${JSON.stringify({ on, data })}\n`);

async function http(method, path, headers = {}) {
  const response = await fetch(`${url}${path}`, { method, headers });
  return { status: response.status, body: await response.json() };
}

async function login() {
  const consumed = await http("POST", `/telegram/login-tokens/${encodeURIComponent(loginToken)}/consume`);
  return consumed.body.data.jwtToken;
}

function connect(token, options = {}) {
  const socket = io(url, { auth: { token }, transports: ["websocket"], reconnectionDelay: 50, ...options });
  socket.onAny(tell);
  socket.on("connect_error", (error) => tell("connect_error", error.message));
  socket.on("disconnect", (reason) => tell("disconnect", reason));
  return socket;
}

const once = (socket, event) => new Promise((resolve) => socket.once(event, resolve));

const sync = { tools: [{ skillId: "prices", name: "Prices", status: "connected", tools: ["get_price"] }] };
const tools = [
  { name: "prices__get_price", description: "The price of a coin", inputSchema: { type: "object" } },
];

/** Offers the tools; `answer` gets each call and may stay silent. */
function offer(socket, answer) {
  socket.on("mcp:listTools", ({ requestId }) => socket.emit("mcp:listToolsResponse", { requestId, tools }));
  socket.on("mcp:toolCall", ({ requestId, toolCall }) => {
    const result = answer(toolCall);
    if (result) socket.emit("mcp:toolCallResponse", { requestId, result });
  });
  socket.emit("tool:sync", sync);
}

const price = () => ({ content: [{ type: "text", text: '{"symbol":"ETH","price":"3150.42"}' }], isError: false });
const silent = () => undefined;
const ask = (socket, thread_id, message, context) => socket.emit("chat:start", { thread_id, message, context });

const scenarios = {
  async turn(options) {
    const token = await login();
    tell("me", await http("GET", "/auth/me", { authorization: `Bearer ${token}` }));
    const socket = connect(token, options);
    await once(socket, "ready");
    offer(socket, price);
    ask(socket, "t1", "What is the price of ETH?", [
      { title: "Plan", source: "plan.md", text: "My staking plan is 3 ETH.", score: 1 },
    ]);
    await once(socket, "chat_done");
    ask(socket, "t1", "thanks");
    await once(socket, "chat_done");
    socket.disconnect();
  },
  polling: () => scenarios.turn({ transports: ["polling"] }),
  upgrade: () => scenarios.turn({ transports: ["polling", "websocket"] }),

  async refused() {
    const bad = connect("nonsense");
    await once(bad, "connect_error");
    bad.disconnect();
    const none = connect(undefined);
    await once(none, "connect_error");
    none.disconnect();
    const first = await http("POST", `/telegram/login-tokens/${loginToken}/consume`);
    tell("first", { status: first.status, success: first.body.success });
    tell("second", await http("POST", `/telegram/login-tokens/${loginToken}/consume`));
    tell("unknown", await http("POST", "/telegram/login-tokens/oht1_x/consume"));
    tell("me", await http("GET", "/auth/me", { authorization: "Bearer nonsense" }));
    tell("nothing", await http("GET", "/no/such/path"));
  },

  async hangup() {
    const socket = connect(await login());
    await once(socket, "ready");
    offer(socket, silent);
    const called = once(socket, "mcp:toolCall");
    ask(socket, "t1", "What is the price of ETH?");
    await called;
    socket.disconnect();
  },

  async oversize() {
    const socket = connect(await login());
    await once(socket, "ready");
    const gone = once(socket, "disconnect");
    socket.emit("tool:sync", { tools: [], padding: "x".repeat(300 * 1024) });
    await gone;
    await once(socket, "ready");
    socket.disconnect();
  },

  async cancel() {
    const socket = connect(await login());
    await once(socket, "ready");
    offer(socket, silent);
    const done = once(socket, "chat_done");
    for (const stop of [
      () => socket.emit("chat:cancel", { thread_id: "t1" }),
      () => {
        // A cancellation that is late, of a turn that is over, stops nothing.
        socket.emit("chat:cancel", { thread_id: "t1", request_id: "over" });
        ask(socket, "t1", "thanks");
      },
    ]) {
      const called = once(socket, "mcp:toolCall");
      const ended = once(socket, "chat_error");
      ask(socket, "t1", "What is the price of ETH?");
      await called;
      stop();
      await ended;
    }
    await done;
    socket.disconnect();
  },

  async crowd() {
    const socket = connect(await login());
    await once(socket, "ready");
    offer(socket, silent);
    const refused = once(socket, "chat_error");
    ask(socket, "a", "What is the price of ETH?");
    ask(socket, "b", "What is the price of ETH?");
    ask(socket, "c", "What is the price of ETH?");
    await refused;
    const invalid = once(socket, "chat_error");
    socket.emit("chat:start", { thread_id: "d" });
    await invalid;
    socket.disconnect();
  },

  async flood() {
    const socket = connect(await login(), { reconnection: false });
    await once(socket, "ready");
    const gone = once(socket, "disconnect");
    for (let n = 0; n < 5000; n++) socket.emit("noise", { n });
    await gone;
  },

  /** Stays until the backend ends the connection. */
  async wait() {
    const socket = connect(await login(), { reconnection: false });
    await once(socket, "ready");
    offer(socket, silent);
    ask(socket, "t1", "What is the price of ETH?");
    await once(socket, "disconnect");
  },
};

await scenarios[scenario]();
// Node ends by itself once the connections are closed and the last packets are out.
tell("end", null);
