//! `openhuman demo`: the main job, end to end, in a temporary home, with nothing but loopback.

mod assets;
mod canary;
mod prices;
mod scene;
mod second;
mod timeline;

pub(crate) use scene::{Skilled, synced_tools};

use clap::ValueEnum;

use crate::args::{Demo, Global};
use crate::exit::{Code, Failure};
use scene::Scene;
use timeline::Timeline;

/// What the user of the demo asks.
pub(crate) const PROMPT: &str = "What is ETH at, and what did I note about my staking plan?";

/// What is asked later, in another process, with nothing but the memory to answer from.
const LATER: &str = "What did you tell me about ETH and my staking plan?";

/// A tool that can be broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Breakable {
    /// `prices__get_price` throws.
    Prices,
    /// `notes__find_notes` throws.
    Notes,
}

pub(crate) async fn run(global: &Global, demo: Demo) -> Result<(), Failure> {
    let mut timeline = Timeline::new(global.json);
    let mut answer = String::new();
    let played = play(global, &demo, &mut timeline, &mut answer).await;
    let failure = played.err();
    if timeline.finish(&answer, failure.as_ref())? {
        return Ok(());
    }
    Err(Failure::shown(
        failure.map_or(Code::Failed, |failure| failure.code),
    ))
}

/// The acts in their order. The temporary home is deleted at the end, whatever happens.
async fn play(
    global: &Global,
    demo: &Demo,
    timeline: &mut Timeline,
    answer: &mut String,
) -> Result<(), Failure> {
    let mut scene = Scene::set(demo.live, demo.r#break).await?;
    scene.create_vault(timeline).await?;
    scene.start_core(timeline).await?;
    scene.remember(timeline).await?;
    scene.start_backend(timeline).await?;
    scene.connect(timeline).await?;
    *answer = scene.ask(global.json, timeline).await?;
    scene.fire_schedule(timeline).await?;
    scene.contain(timeline).await?;
    scene.search_home_while_open(timeline)?;
    scene.export(timeline).await?;
    scene.close(timeline).await?;
    second::ask_again(&scene, timeline).await?;
    scene.stop().await;
    Ok(())
}
