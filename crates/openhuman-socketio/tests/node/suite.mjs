// A server with the namespaces and events that the official client's own suites expect, controlled like server.mjs.
//
// Usage: node suite.mjs [port [options as JSON]]
import { createInterface } from "node:readline";
import { Server } from "socket.io";

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// `?deny=<transport>` in the query of a request refuses it over that transport.
const refused = (request) => {
  const query = new URL(request.url, "http://localhost").searchParams;
  return query.has("deny") && query.get("deny") === query.get("transport");
};

const io = new Server({
  pingInterval: 2000,
  connectionStateRecovery: {},
  // Late enough for a client that does not wait at all.
  allowRequest: (request, decide) => setTimeout(() => decide(null, !refused(request)), 10),
  ...JSON.parse(process.argv[3] ?? "{}"),
});

io.use((socket, next) => next(socket.handshake.query.fail ? new Error("Auth failed (main namespace)") : undefined));
io.of("/no").use((socket, next) => next(new Error("Auth failed (custom namespace)")));

// The headers of the last POST.
let posted;

const connected = (socket) => {
  say({ did: "connect", namespace: socket.nsp.name, id: socket.id, transport: socket.conn.transport.name });
  socket.on("disconnect", (reason) => say({ did: "disconnect", namespace: socket.nsp.name, reason }));
  socket.onAny((event) => say({ did: "event", event }));
};
for (const name of ["/timeout_socket", "/valid", "/asd", "/room1", "/room2"]) io.of(name).on("connection", connected);
io.of("/foo").on("connection", (socket) => {
  connected(socket);
  socket.on("getId", (reply) => reply(socket.id));
});
io.of("/abc").on("connection", (socket) => {
  connected(socket);
  socket.emit("handshake", socket.handshake);
});

io.on("connection", (socket) => {
  connected(socket);
  const answer = (event, ...args) => socket.emit(event, ...args);
  socket.on("hi", () => answer("hi"));
  socket.on("echo", (value, reply) => reply?.(value));
  socket.on("back", (...args) => answer("back", ...args));
  socket.on("ack", () => answer("ack", (number, object) => number === 5 && object.test && answer("got it")));
  socket.on("getAckDate", (_, reply) => reply(new Date()));
  socket.on("getDate", () => answer("takeDate", new Date()));
  socket.on("getDateObj", () => answer("takeDateObj", { date: new Date() }));
  socket.on("getUtf8", () => {
    for (const text of ["てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß", "utf8 — string", "utf8 — string"]) answer("takeUtf8", text);
  });
  socket.on("false", () => answer("false", false));
  socket.on("doge", () => answer("doge", Buffer.from("asdfasdf")));
  socket.on("buffa", (value) => Buffer.isBuffer(value) && answer("buffack"));
  socket.on("jsonbuff", ({ hello, message, goodbye }) => {
    if (hello === "lol" && Buffer.isBuffer(message) && goodbye === "gotcha") answer("jsonbuff-ack");
  });
  let first = false;
  socket.on("abuff1", (value) => (first = Buffer.isBuffer(value)));
  socket.on("abuff2", () => first && answer("abuff2-ack"));
  socket.on("getHandshake", (reply) => reply(socket.handshake));
  socket.on("getId", (reply) => reply(socket.id));
  socket.on("sendHeaders", (reply) => reply(posted));
});

const commands = {
  // The connections cut off below the protocol, without a word.
  cut: () => {
    for (const client of Object.values(io.engine.clients)) {
      client.transport.socket?._socket?.destroy();
      if (client.transport.name === "polling") client.close(true);
    }
  },
  // Something that is no packet.
  garbage: () => {
    for (const client of Object.values(io.engine.clients)) client.send("bad");
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => commands[JSON.parse(line).do]())
  .on("close", () => process.exit(0));

io.listen(Number(process.argv[2] ?? 0));
io.engine.on("initial_headers", (headers) => {
  headers["set-cookie"] = [
    "1=1; Max-Age=86400",
    "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
    "3=3; Max-Age=0",
    `4=4; Expires=${new Date().toUTCString()}`,
  ];
});
io.engine.on("headers", (_, request) => {
  if (request.method === "POST") posted = request.headers;
});
io.engine.on("connection", (engine) => {
  say({ did: "open", query: Object.fromEntries(new URL(engine.request.url, "http://localhost").searchParams) });
  engine.on("upgrade", ({ name }) => say({ did: "upgrade", name }));
  engine.on("close", (reason) => say({ did: "engine close", reason, transport: engine.transport.name }));
});
const listening = () => say({ did: "listen", port: io.httpServer.address().port });
io.httpServer.address() ? listening() : io.httpServer.once("listening", listening);
