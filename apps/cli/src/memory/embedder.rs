//! Which model computes the vectors.

use openhuman::{Core, EmbeddingServer, EmbeddingStatus};

use crate::args::Embedder;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::password::typed;
use crate::prompt::confirmed;
use crate::style::{DIM, WARNING};

pub(super) async fn run(core: &Core, command: Embedder, as_json: bool) -> Result<(), Failure> {
    let chosen = match command {
        Embedder::Show => {
            let core = core.clone();
            tokio::task::spawn_blocking(move || core.embedding()).await??
        }
        Embedder::Reset => choose(core, None, None).await?,
        Embedder::Set {
            url,
            model,
            dimensions,
            key,
            key_text,
            yes,
            ..
        } => {
            let openai = EmbeddingServer::openai();
            let server = match url {
                None => EmbeddingServer {
                    model: model.unwrap_or(openai.model),
                    dimensions: dimensions.map_or(openai.dimensions, usize::from),
                    ..openai
                },
                Some(base_url) => EmbeddingServer {
                    base_url,
                    model: model.unwrap_or_default(),
                    dimensions: dimensions.map_or(0, usize::from),
                    with_key: key || key_text.is_some(),
                },
            };
            let question = format!(
                "Everything you remember and look for is sent to {}. Go on? [y/N] ",
                clean_line(&server.base_url)
            );
            if !yes && !server.is_local() && !confirmed(&question)? {
                return Err(Failure::new(Code::Denied, "nothing was changed"));
            }
            let key = match server.with_key {
                true => {
                    let question = format!("Key for {} (not shown): ", clean_line(&server.base_url));
                    Some(typed(key_text.as_ref(), &question, "--key-fd")?)
                }
                false => None,
            };
            let key = key.map(|key| String::clone(&key));
            choose(core, Some(server), key).await?
        }
    };
    match as_json {
        true => output::json(&chosen),
        false => show(&chosen),
    }
}

async fn choose(
    core: &Core,
    server: Option<EmbeddingServer>,
    key: Option<String>,
) -> Result<EmbeddingStatus, Failure> {
    let core = core.clone();
    let chosen = tokio::task::spawn_blocking(move || core.choose_embedding(server.as_ref(), key.as_deref()));
    Ok(chosen.await??)
}

/// Says where the vectors come from.
pub(super) fn show(status: &EmbeddingStatus) -> Result<(), Failure> {
    let place = match &status.server {
        None => "computed here, without a network".to_owned(),
        Some(server) if server.is_local() => {
            format!("computed by {} on this machine", clean_line(&server.base_url))
        }
        Some(server) => format!("computed by {}", clean_line(&server.base_url)),
    };
    if status.stored == status.chosen {
        line(format_args!("The vectors are of {}, {place}.", status.stored))?;
    } else {
        line(format_args!(
            "{WARNING}The vectors are of {}; {} was chosen, {place}. `openhuman memory reembed` computes them anew.{WARNING:#}",
            status.stored, status.chosen
        ))?;
    }
    match &status.problem {
        Some(problem) => line(format_args!("{WARNING}Searches fail: {problem}{WARNING:#}")),
        None if status.stored != status.chosen => {
            line(format_args!("{DIM}Until then searches go on as before.{DIM:#}"))
        }
        None => Ok(()),
    }
}
