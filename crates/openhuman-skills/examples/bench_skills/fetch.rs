//! 2,000 synchronous requests at once, beside the same requests from bare reqwest.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use futures_util::future::try_join_all;
use openhuman_skills::{Engine, Grant, SkillId};
use serde_json::json;

use crate::meter::{cpu, median, micros, millis, number};
use crate::skills::{call, engine, start_many};
use crate::{Figures, Outcome};

const REQUESTS: usize = 2000;
const ROUNDS: usize = 7;
const DELAY: Duration = Duration::from_millis(100);

/// Answers every request after the delay. Prints its port, and ends with its parent's pipe.
pub(crate) async fn serve() -> Outcome<()> {
    let routes = Router::new().route(
        "/",
        get(|| async {
            tokio::time::sleep(DELAY).await;
            "ok"
        }),
    );
    let listener = tokio::net::TcpSocket::new_v4()?;
    listener.bind("127.0.0.1:0".parse()?)?;
    let listener = listener.listen(4096)?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    axum::serve(listener, routes).await?;
    Ok(())
}

/// Ends with its parent: its standard input closes.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_server() -> Outcome<(Server, u16)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("the server has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok((Server(child), line.trim().parse()?))
}

pub(crate) async fn fetch() -> Outcome {
    let (_server, port) = start_server()?;
    let url = format!("http://127.0.0.1:{port}/");
    let mut grant = Grant::none();
    grant.allow_private("127.0.0.1", port);
    let engine = engine(Arc::default()).build()?;
    let ids = start_many(&engine, REQUESTS, &grant).await?;
    // The client refuses to be built without one, even for http.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let (mut ours, mut base) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let bare = timed(all_bare(&client, &url)).await?;
        let skills = timed(all_skills(&engine, &ids, &url)).await?;
        // The first round connects.
        if round > 0 {
            base.push(bare);
            ours.push(skills);
        }
    }
    let mut figures = Figures::new();
    let mut of = |name: &str, runs: &[(f64, f64)]| {
        let wall = median(&mut runs.iter().map(|run| run.0).collect::<Vec<_>>());
        let cpu = median(&mut runs.iter().map(|run| run.1).collect::<Vec<_>>());
        figures.insert(format!("sync_fetch_2000_{name}_ms"), number(wall));
        figures.insert(format!("sync_fetch_2000_{name}_cpu_us"), number(cpu));
        wall
    };
    let ratio = of("ours", &ours) / of("base", &base);
    figures.insert("sync_fetch_2000_ratio".into(), number(ratio));
    Ok(figures)
}

/// Milliseconds in all, and microseconds of processor time for each request.
async fn timed(work: impl Future<Output = Outcome<()>>) -> Outcome<(f64, f64)> {
    let (started, before) = (Instant::now(), cpu());
    work.await?;
    Ok((
        millis(started.elapsed()),
        micros(cpu() - before) / REQUESTS as f64,
    ))
}

async fn all_bare(client: &reqwest::Client, url: &str) -> Outcome<()> {
    let requests = (0..REQUESTS).map(|_| async {
        let body = client
            .get(url)
            .header("accept", "text/plain")
            .send()
            .await?
            .text()
            .await?;
        check(&body)
    });
    try_join_all(requests).await?;
    Ok(())
}

async fn all_skills(engine: &Engine, ids: &[SkillId], url: &str) -> Outcome<()> {
    let requests = ids
        .iter()
        .map(|id| async move { check(&call(engine, id, "get", json!({ "url": url })).await?) });
    try_join_all(requests).await?;
    Ok(())
}

fn check(body: &str) -> Outcome<()> {
    if body == "ok" {
        Ok(())
    } else {
        Err(format!("a wrong answer: {body}").into())
    }
}
