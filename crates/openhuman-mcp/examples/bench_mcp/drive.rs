//! A client of bare lines and bare HTTP, so that what is measured is the server.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const WARM_UP: u64 = 500;
const CALLS: u64 = 5_000;
const IN_FLIGHT: u64 = 32;

fn initialize() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "0"}}})
}

fn call(id: u64, tool: &str) -> String {
    let params = json!({"name": tool, "arguments": {"text": "hello"}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

/// Measures a server on standard streams: `command [arguments..]`, and the tool to call.
pub(crate) async fn stdio(tool: &str, command: &[String]) -> Outcome<Value> {
    let started = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    input.write_all(format!("{}\n", initialize()).as_bytes()).await?;
    lines.next_line().await?.ok_or("it ended")?;
    let connect = started.elapsed();
    input
        .write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
        .await?;

    let mut id = 0;
    let mut took = Vec::new();
    let mut sequential = Instant::now();
    let mut cpu = 0.0;
    for turn in 0..WARM_UP + CALLS {
        if turn == WARM_UP {
            sequential = Instant::now();
            cpu = cpu_seconds(&child)?;
        }
        id += 1;
        let begun = Instant::now();
        input
            .write_all(format!("{}\n", call(id, tool)).as_bytes())
            .await?;
        let answer = lines.next_line().await?.ok_or("it ended")?;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
        if turn == 0 && !answer.contains("hello") {
            return Err(format!("a wrong answer: {answer}").into());
        }
    }
    let sequential = CALLS as f64 / sequential.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(&child)? - cpu) * 1e6 / CALLS as f64;
    took.drain(..WARM_UP as usize);
    took.sort_by(f64::total_cmp);

    let concurrent = Instant::now();
    let mut open: HashMap<u64, ()> = HashMap::new();
    let (mut sent, mut done) = (0, 0);
    while done < CALLS {
        let mut batch = String::new();
        while open.len() < IN_FLIGHT as usize && sent < CALLS {
            id += 1;
            sent += 1;
            open.insert(id, ());
            batch.push_str(&call(id, tool));
            batch.push('\n');
        }
        input.write_all(batch.as_bytes()).await?;
        let answer: Value = serde_json::from_str(&lines.next_line().await?.ok_or("it ended")?)?;
        open.remove(&answer["id"].as_u64().ok_or("no id")?)
            .ok_or("an answer twice")?;
        done += 1;
    }
    let concurrent = CALLS as f64 / concurrent.elapsed().as_secs_f64();
    Ok(json!({
        "connect_ms": connect.as_secs_f64() * 1e3,
        "stdio_p50_us": took[took.len() / 2],
        "stdio_seq_s": sequential,
        "stdio_conc_s": concurrent,
        "stdio_cpu_us": cpu,
        "rss_mib": rss_mib(&child)?,
    }))
}

/// Measures a server over HTTP with as many connections as calls in flight. The server prints its address first.
pub(crate) async fn http(tool: &str, modern: bool, token: &str, command: &[String]) -> Outcome<Value> {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .env("DEMO_TOKEN", token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let url = lines.next_line().await?.ok_or("it ended")?;
    let host = url
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut head = format!("Host: {host}\r\nAuthorization: Bearer {token}\r\n");
    if modern {
        head.push_str(&format!(
            "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n"
        ));
    } else {
        let mut connection = Connection::open(&host).await?;
        let (answer, session) = connection.post(&head, &initialize().to_string()).await?;
        if !answer.contains("serverInfo") {
            return Err(format!("a wrong answer: {answer}").into());
        }
        let session = session.ok_or("no session")?;
        head.push_str(&format!(
            "Mcp-Session-Id: {session}\r\nMCP-Protocol-Version: 2025-11-25\r\n"
        ));
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        Connection::open(&host).await?.post(&head, &ready).await?;
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "0"},
    });
    let body = |id: u64| {
        let mut params = json!({"name": tool, "arguments": {"text": "hello"}});
        if modern {
            params["_meta"] = meta.clone();
        }
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
    };
    let share = CALLS / IN_FLIGHT;
    let mut rates = Vec::new();
    for round in 0..3 {
        let started = Instant::now();
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..IN_FLIGHT {
            let (host, head) = (host.clone(), head.clone());
            let bodies: Vec<String> = (0..share)
                .map(|n| body(1 + (round * IN_FLIGHT + worker) * share + n))
                .collect();
            workers.spawn(async move {
                let mut connection = Connection::open(&host).await.map_err(|error| error.to_string())?;
                for body in bodies {
                    let (answer, _) = connection
                        .post(&head, &body)
                        .await
                        .map_err(|error| error.to_string())?;
                    if !answer.contains("hello") {
                        return Err(format!("a wrong answer: {answer}"));
                    }
                }
                Ok(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done??;
        }
        rates.push((share * IN_FLIGHT) as f64 / started.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(json!({"http_conc_s": rates[1], "http_rss_mib": rss_mib(&child)?}))
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(host: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The body and the session id of the answer.
    async fn post(&mut self, head: &str, body: &str) -> Outcome<(String, Option<String>)> {
        let request = format!(
            "POST /mcp HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.get_mut().write_all(request.as_bytes()).await?;
        let (mut length, mut chunked, mut session) = (0, false, None);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => chunked = true,
                "mcp-session-id" => session = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let mut line = String::new();
                self.0.read_line(&mut line).await?;
                let size = usize::from_str_radix(line.trim(), 16)?;
                let mut chunk = vec![0; size + 2];
                self.0.read_exact(&mut chunk).await?;
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(length, 0);
            self.0.read_exact(&mut body).await?;
        }
        Ok((String::from_utf8(body)?, session))
    }
}

/// User and system time of the child so far. Linux only, in steps of 10 ms.
fn cpu_seconds(child: &Child) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id().ok_or("it ended")?))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn rss_mib(child: &Child) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().ok_or("it ended")?))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no size")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no size")?.parse()?;
    Ok(kib / 1024.0)
}
