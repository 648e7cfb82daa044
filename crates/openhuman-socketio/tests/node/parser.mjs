// The official decoder: one line in is a list of frames (text, or {"binary": base64}), one line out is the list of
// packets or null when it refuses them.
import { createInterface } from "node:readline";
import { Decoder } from "socket.io-parser";

const shown = (value) =>
  Buffer.isBuffer(value)
    ? { $binary: value.toString("hex") }
    : Array.isArray(value)
      ? value.map(shown)
      : value && typeof value === "object"
        ? Object.fromEntries(Object.entries(value).map(([key, value]) => [key, shown(value)]))
        : value;

for await (const line of createInterface({ input: process.stdin })) {
  const packets = [];
  const decoder = new Decoder();
  decoder.on("decoded", ({ type, nsp, id, data }) =>
    packets.push({ type, nsp, id: id ?? null, data: shown(data) ?? null }),
  );
  let answer = packets;
  try {
    for (const frame of JSON.parse(line)) {
      decoder.add(typeof frame === "string" ? frame : Buffer.from(frame.binary, "base64"));
    }
  } catch {
    answer = null;
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
