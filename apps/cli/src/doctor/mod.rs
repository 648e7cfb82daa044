//! `openhuman doctor`: looks at every part of an installation and says what is wrong with it, and what to do.

mod backends;
mod core;
mod home;
mod vault;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::args::Global;
use crate::exit::{self, Code, Failure};
use crate::output::{self, clean, line};
use crate::session;
use crate::style::{BOLD, DIM, ERROR, GOOD, WARNING};

#[derive(Args)]
pub(crate) struct Doctor {
    /// Reach nobody: the backends that this user is logged in at are not asked.
    #[arg(long)]
    offline: bool,
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    Good,
    /// Works; something about it could be better, or could not be looked at.
    Note,
    /// Does not work.
    Bad,
}

/// What was found out about one part.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    area: &'static str,
    grade: Grade,
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// What was found so far, shown as it comes.
pub(super) struct Findings {
    as_json: bool,
    all: Vec<Finding>,
}

impl Findings {
    pub(super) fn good(&mut self, area: &'static str, text: impl Into<String>) -> Result<(), Failure> {
        self.add(area, Grade::Good, text.into(), None)
    }

    pub(super) fn note(
        &mut self,
        area: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Result<(), Failure> {
        self.add(area, Grade::Note, text.into(), Some(advice.into()))
    }

    /// An error of ours says what to do by itself.
    pub(super) fn bad(&mut self, area: &'static str, text: impl Into<String>) -> Result<(), Failure> {
        self.add(area, Grade::Bad, text.into(), None)
    }

    fn add(
        &mut self,
        area: &'static str,
        grade: Grade,
        text: String,
        advice: Option<String>,
    ) -> Result<(), Failure> {
        if !self.as_json {
            let (style, mark) = match grade {
                Grade::Good => (GOOD, "\u{2714}"),
                Grade::Note => (WARNING, "!"),
                Grade::Bad => (ERROR, "\u{2718}"),
            };
            line(format_args!(
                "{style}{mark}{style:#} {BOLD}{area:<9}{BOLD:#} {}",
                clean(&text)
            ))?;
            if let Some(advice) = &advice {
                line(format_args!("            {DIM}{}{DIM:#}", clean(advice)))?;
            }
        }
        self.all.push(Finding {
            area,
            grade,
            text,
            advice,
        });
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        let bad = self
            .all
            .iter()
            .filter(|finding| finding.grade == Grade::Bad)
            .count();
        if self.as_json {
            output::json(&json!({ "ok": bad == 0, "findings": self.all }))?;
        }
        match bad {
            0 if self.as_json => Ok(()),
            0 => line(format_args!("\n{GOOD}Nothing is wrong.{GOOD:#}")),
            1 => self.wrong("One part does not work."),
            many => self.wrong(&format!("{many} parts do not work.")),
        }
    }

    fn wrong(&self, text: &str) -> Result<(), Failure> {
        if !self.as_json {
            line(format_args!("\n{ERROR}{text}{ERROR:#}"))?;
        }
        Err(Failure::shown(Code::Failed))
    }
}

/// Looks at every part. One that cannot be looked at keeps nobody from the next ones.
pub(crate) async fn run(global: &Global, doctor: &Doctor) -> Result<(), Failure> {
    let mut findings = Findings {
        as_json: global.json,
        all: Vec::new(),
    };
    exit::interruptible(async {
        let place = session::home(global)?;
        home::look(&place, &mut findings)?;
        if let Some(vault) = vault::look(global, &place, &mut findings).await? {
            let vault = vault::databases(&place, vault, &mut findings).await?;
            if let Some(core) = core::open(global, &place, vault, &mut findings).await? {
                let looked = async {
                    core::look(&core, &mut findings).await?;
                    backends::look(&core, doctor.offline, &mut findings).await
                };
                let looked = looked.await;
                core.close().await;
                looked?;
            }
        }
        core::model(&mut findings)
    })
    .await?;
    findings.finish()
}
