// A backend for OpenHuman desktops in 60 lines: the contract of docs/backend-protocol.md with the official server. Its
// "model" calls the first tool of the desktop.   npm ci --ignore-scripts && node server.mjs [port]
import { createServer } from "node:http";
import { randomBytes, randomUUID } from "node:crypto";
import { Server } from "socket.io";

const [tokens, sessions] = [new Map(), new Map()]; // login token -> { user, until }, session token -> user
const random = () => randomBytes(32).toString("base64url");
const issue = (user, token = `oht1_${random()}`) => (tokens.set(token, { user, until: Date.now() + 300_000 }), token);

const http = createServer((request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(JSON.stringify(body));
  };
  const token = request.url.match(/^\/telegram\/login-tokens\/([^/]+)\/consume$/)?.[1];
  const user = sessions.get((request.headers.authorization ?? "").replace(/^Bearer /i, ""));
  if (request.url === "/health") return answer(200, { status: "ok" });
  if (request.url === "/auth/me" && user) return answer(200, { success: true, data: { id: user } });
  const login = request.method === "POST" && tokens.get(token);
  tokens.delete(token); // good for one use
  if (!login || Date.now() > login.until) return answer(401, { success: false, message: "log in again" });
  const session = random();
  sessions.set(session, login.user);
  return answer(200, { success: true, data: { jwtToken: session } });
});

const io = new Server(http, { maxHttpBufferSize: 4 * 1024 * 1024 });
io.use((socket, next) => (sessions.has(socket.handshake.auth.token) ? next() : next(new Error("log in again"))));
io.on("connection", (socket) => {
  const waiting = new Map();
  // Asks the desktop and waits for the answer with the same id, 30 s at most.
  const ask = (event, fields) => new Promise((resolve, reject) => {
    const requestId = randomUUID();
    const timer = setTimeout(() => reject(new Error("the desktop did not answer")), 30_000);
    waiting.set(requestId, (data) => { clearTimeout(timer); waiting.delete(requestId); resolve(data); });
    socket.emit(event, { requestId, ...fields });
  });
  const answered = (data) => waiting.get(data.requestId)?.(data);
  socket.on("mcp:listToolsResponse", answered).on("mcp:toolCallResponse", answered);
  socket.on("chat:start", async ({ thread_id, message }) => {
    const id = { thread_id, request_id: randomUUID() };
    socket.emit("chat_accepted", id);
    try {
      const { tools } = await ask("mcp:listTools");
      let said = `You said: ${message}.`;
      if (tools.length > 0) {
        const { result } = await ask("mcp:toolCall", { toolCall: { name: tools[0].name, arguments: {} } });
        said += ` ${tools[0].name} says: ${result.content.map((block) => block.text).join("")}`;
      }
      socket.emit("chat_delta", { ...id, delta: said });
      socket.emit("chat_done", { ...id, full_response: said });
    } catch (error) {
      socket.emit("chat_error", { ...id, message: error.message, error_type: "inference" });
    }
  });
  socket.emit("ready", {});
});
http.listen(Number(process.argv[2] ?? 8787), "127.0.0.1", () =>
  console.log(JSON.stringify({ url: `http://127.0.0.1:${http.address().port}`, token: issue("ada") })));
