// The official Socket.IO server, controlled over stdin and observed over stdout, one JSON object a line.
//
// Usage: node server.mjs [port [options as JSON]]
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";
import { Server } from "socket.io";

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");

// More options for the server; `parser: "msgpack"` stands for the package of that name, `tls` for the test certificate.
const { parser, tls, ...options } = JSON.parse(process.argv[3] ?? "{}");
if (parser === "msgpack") options.parser = (await import("socket.io-msgpack-parser")).default;

const io = new Server({ pingInterval: 300, pingTimeout: 2000, ...options });

const authenticate = (socket, next) => {
  const { token } = socket.handshake.auth;
  if (typeof token === "string" && token.startsWith("good")) return next();
  const error = new Error("bad token");
  error.data = { code: 401, token };
  next(error);
};

const serve = (socket) => {
  const { recovered } = socket;
  const transport = socket.conn.transport.name;
  say({ did: "connect", id: socket.id, token: socket.handshake.auth.token, recovered, transport });
  socket.on("disconnect", (reason) => say({ did: "disconnect", id: socket.id, reason }));
  socket.on("echo", (...args) => socket.emit("echo", ...args));
  socket.on("echo-ack", (...args) => args.pop()(...args));
  socket.on("count", (n) => say({ did: "count", n }));
  socket.on("describe", (...args) => {
    const reply = args.pop();
    const describe = (value) =>
      Buffer.isBuffer(value)
        ? `buffer ${value.toString("hex")}`
        : Array.isArray(value)
          ? value.map(describe)
          : value && typeof value === "object"
            ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, describe(v)]))
            : value;
    reply(describe(args));
  });
  // With the CONNECT ack, before the client can subscribe.
  socket.emit("welcome", { id: socket.id });
};

for (const namespace of [io.of("/"), io.of("/admin")]) {
  namespace.use(authenticate);
  namespace.on("connection", serve);
}

const commands = {
  emit: ({ event, args }) => io.emit(event, ...args),
  // Numbered events, which a server with connection state recovery remembers.
  numbers: ({ from, to }) => {
    for (let n = from; n < to; n++) io.emit("number", n);
  },
  // The connection cut off below the protocol, without a word.
  cut: () => {
    for (const client of Object.values(io.engine.clients ?? {})) client.transport.socket?._socket?.destroy();
  },
  emitBinary: () =>
    io.emit("bin", { a: Buffer.from([1, 0x1e, 2]), b: 7, c: [Buffer.from([0x1e]), Buffer.alloc(0)] }, "tail"),
  ask: async ({ args }) => {
    const [socket] = await io.of("/").fetchSockets();
    const all = [...io.of("/").sockets.values()].find(({ id }) => id === socket.id);
    try {
      const reply = await all.timeout(5000).emitWithAck("question", ...args);
      say({ did: "answer", reply: Buffer.isBuffer(reply) ? reply.toString("hex") : reply });
    } catch (error) {
      say({ did: "answer", error: String(error) });
    }
  },
  // DISCONNECT for the namespace, and the connection left open or closed.
  disconnect: ({ close }) => io.disconnectSockets(close),
  // The connection closed below the protocol.
  drop: () => {
    for (const client of io.engine.clients ? Object.values(io.engine.clients) : []) client.close(true);
  },
};

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));

const port = Number(process.argv[2] ?? 0);
if (tls) {
  const [key, cert] = ["key", "pem"].map((kind) => readFileSync(`../tls/server.${kind}`));
  io.attach(createServer({ key, cert }).listen(port));
} else {
  io.listen(port);
}
io.engine.on("connection", (engine) => {
  engine.on("upgrade", ({ name }) => say({ did: "upgrade", name }));
  engine.on("close", (reason) => say({ did: "engine close", reason, transport: engine.transport.name }));
});
io.httpServer.address() ? listening() : io.httpServer.once("listening", listening);
function listening() {
  say({ did: "listen", port: io.httpServer.address().port });
}
