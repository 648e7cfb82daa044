// The official client, measured as the others are: node bench.mjs MEASUREMENT URL
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";

const [name, url] = process.argv.slice(2);
const message = {
  id: 4217331,
  author: { name: "Ada Lovelace", address: "ada@example.org" },
  text: "",
  tags: ["inbox", "project", '"quoted"', "later"],
  score: 0.8125,
  unread: true,
};
const words = 'a line of text with "quotes",\nbreaks and äöü in it; ';
const size = () => Buffer.byteLength(JSON.stringify(message));
while (size() + Buffer.byteLength(words) + 16 < 1024) message.text += words;
message.text += "x".repeat(1024 - size());

const connected = () =>
  new Promise((resolve, reject) => {
    const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false });
    socket.on("connect", () => resolve(socket));
    socket.on("connect_error", reject);
  });
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const p50 = (walls) => walls.sort((a, b) => a - b)[walls.length >> 1];
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);

const measurements = {
  async connect() {
    const walls = [];
    const start = cpu();
    for (let n = 0; n < 200; n++) {
      const started = performance.now();
      const socket = await connected();
      walls.push(performance.now() - started);
      socket.disconnect();
    }
    return { connect_p50_ms: p50(walls), connect_cpu_us: (cpu() - start) / 200 };
  },
  async emit() {
    const events = 40_000;
    const socket = await connected();
    await socket.emitWithAck("settle");
    const start = cpu();
    for (let n = 0; n < events; n += 64) {
      for (let burst = 0; burst < 64; burst++) socket.emit("sink", message);
      await new Promise(setImmediate);
    }
    await socket.emitWithAck("settle");
    return { emit_1k_cpu_us: (cpu() - start) / events };
  },
  async receive() {
    const [events, step] = [40_000, 1_000];
    const socket = await connected();
    let count = 0;
    let done;
    socket.on("message", (message) => {
      if (!message.unread) throw new Error("wrong");
      if (++count % step === 0) done();
    });
    const start = cpu();
    while (count < events) {
      const blasted = new Promise((resolve) => (done = resolve));
      socket.emit("blast", step);
      await blasted;
    }
    return { recv_1k_typed_cpu_us: (cpu() - start) / events };
  },
  async ack() {
    const socket = await connected();
    const walls = [];
    for (let n = 0; n < 5_000; n++) {
      const started = performance.now();
      await socket.emitWithAck("echo", 1);
      walls.push((performance.now() - started) * 1000);
    }
    return { ack_rtt_p50_us: p50(walls) };
  },
  async memory() {
    const before = resident();
    const sockets = [];
    for (let n = 0; n < 1_000; n++) sockets.push(await connected());
    return { rss_per_conn_kib: (resident() - before) / sockets.length };
  },
};

console.log(JSON.stringify(await measurements[name]()));
process.exit(0);
