//! Forgetting everywhere: documents, their words and vectors, the graph, sessions, originals, working memory. And the
//! proof that nothing is left.

mod backups;
mod proof;
mod text;

use std::path::PathBuf;

use serde::Serialize;

use crate::conversation::{Conversation, Turn};
use crate::document::{Document, DocumentInfo};
use crate::error::MemoryError;
use crate::graph::{GraphStore as _, Oblivion};
use crate::memory::Memory;
use crate::originals;
use crate::session::{Pin, SessionMessage, SessionRecord};
use crate::working;
use text::Needles;

/// What to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forget {
    /// Somebody, under all names that the graph knows: every sentence that names them goes.
    Person(String),
    /// What came from somewhere: a document by its source, key or identifier, or a session.
    Source(String),
    /// What a skill stored and published.
    Skill(String),
    /// Some words, in any case: every sentence that contains them goes.
    Phrase(String),
}

/// What was forgotten, and what a search for it still finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Documents that are gone.
    pub documents_removed: usize,
    /// Documents of which sentences are gone.
    pub documents_changed: usize,
    /// Sessions that are gone.
    pub sessions_removed: usize,
    /// Lines of sessions that were changed.
    pub session_lines: usize,
    /// Facts that are gone.
    pub facts: u64,
    /// Entities that are gone.
    pub entities: u64,
    /// Originals that are gone.
    pub originals: usize,
    /// Items of the working memory that are gone.
    pub working_items: usize,
    /// Backups from before, which still hold it. Delete them.
    pub backups: Vec<PathBuf>,
    /// Where a search of everything still finds it; empty unless something wrote it again meanwhile.
    pub left: Vec<String>,
}

impl Memory {
    /// Forgets everywhere, and searches everything for what is left. Takes as long as reading the whole memory. Each
    /// part is a transaction; when one fails, call it again.
    ///
    /// A graph on another server ([`graph::neo4j`](crate::graph)) is not reached: call its own
    /// [`GraphStore::forget`](crate::graph::GraphStore::forget).
    ///
    /// The pages of the database that held it are overwritten with zeros. Backups are files of the user: those made
    /// before ([`Memory::note_backup`]) are named and marked, and it is for the caller to delete them.
    ///
    /// # Errors
    ///
    /// [`MemoryError::Empty`] for an empty name; failures of the database and of session files.
    pub fn forget_everywhere(&self, what: &Forget) -> Result<Report, MemoryError> {
        let mut report = Report::default();
        let mut removed = Vec::new();
        let (Forget::Person(words) | Forget::Source(words) | Forget::Skill(words) | Forget::Phrase(words)) =
            what;
        if words.trim().is_empty() {
            return Err(MemoryError::Empty {
                field: "what to forget",
            });
        }
        let needles = match what {
            Forget::Person(name) => Some(Needles::names(&self.names_of(name)?)),
            Forget::Phrase(phrase) => Some(Needles::phrase(phrase)),
            Forget::Source(_) | Forget::Skill(_) => None,
        };
        match &needles {
            Some(needles) => {
                self.forget_in_documents(needles, &mut removed, &mut report)?;
                self.forget_in_sessions(needles, &mut report)?;
                self.forget_in_tables(needles, &mut report)?;
            }
            None => self.forget_origin(what, words.trim(), &mut removed, &mut report)?,
        }
        self.forget_in_graph(what, needles.as_ref(), &removed, &mut report)?;
        report.backups = self.outdate_backups()?;
        report.left = match (&needles, what) {
            (Some(needles), _) => proof::words(self, needles)?,
            (None, _) => proof::origin(self, what)?,
        };
        Ok(report)
    }

    /// A name, and the other names of the same entity in any namespace of the graph.
    fn names_of(&self, name: &str) -> Result<Vec<String>, MemoryError> {
        let mut names = vec![name.trim().to_owned()];
        let graph = self.graph();
        for namespace in graph.namespaces()? {
            if let Some(entity) = graph.entity(&namespace, name)? {
                names.push(entity.name);
                names.extend(entity.aliases);
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn forget_document(
        &self,
        id: &str,
        removed: &mut Vec<String>,
        report: &mut Report,
    ) -> Result<(), MemoryError> {
        report.documents_removed += usize::from(self.forget(id)?);
        removed.push(id.to_owned());
        Ok(())
    }

    fn forget_in_documents(
        &self,
        needles: &Needles,
        removed: &mut Vec<String>,
        report: &mut Report,
    ) -> Result<(), MemoryError> {
        for info in self.documents(None)? {
            let labels = [&info.namespace, &info.key, &info.title, &info.source];
            if labels.iter().any(|label| needles.are_in(label)) {
                self.forget_document(&info.id, removed, report)?;
                continue;
            }
            let Some(text) = self.text(&info.id)?.filter(|text| needles.are_in(text)) else {
                continue;
            };
            let rest = needles.without(&text);
            if rest.trim().is_empty() {
                self.forget_document(&info.id, removed, report)?;
            } else {
                self.replace(&info, &text, needles, rest)?;
                report.documents_changed += 1;
            }
        }
        Ok(())
    }

    /// Ingests what is left of a document. A conversation stays one: its chunks are its lines.
    fn replace(
        &self,
        info: &DocumentInfo,
        text: &str,
        needles: &Needles,
        rest: String,
    ) -> Result<(), MemoryError> {
        let lines: Vec<&str> = text.lines().collect();
        let turns = lines.len() > 1 && u64::try_from(lines.len()).is_ok_and(|count| count == info.chunks);
        if turns {
            let turn = |line: &&str| match line.split_once(": ") {
                Some((speaker, text)) => Turn::new(speaker, needles.without(text)),
                None => Turn::new("", needles.without(line)),
            };
            let conversation = Conversation {
                namespace: info.namespace.clone(),
                title: info.title.clone(),
                source: info.source.clone(),
                created_ms: Some(info.created_ms),
                turns: lines
                    .iter()
                    .filter(|line| !needles.without(line).trim().is_empty())
                    .map(turn)
                    .collect(),
                ..Conversation::new(&*info.key, Vec::new())
            };
            self.ingest_conversation(&conversation)?;
        } else {
            self.ingest(&Document {
                namespace: info.namespace.clone(),
                key: info.key.clone(),
                title: info.title.clone(),
                text: rest,
                source: info.source.clone(),
                created_ms: Some(info.created_ms),
            })?;
        }
        Ok(())
    }

    fn forget_in_sessions(&self, needles: &Needles, report: &mut Report) -> Result<(), MemoryError> {
        for id in self.session_ids()? {
            if needles.are_in(&id) {
                report.sessions_removed += usize::from(self.forget_session(&id)?);
            } else {
                report.session_lines += self
                    .session(&id)?
                    .rewrite(|record| Some(without(record, needles)))?;
            }
        }
        Ok(())
    }

    fn forget_in_tables(&self, needles: &Needles, report: &mut Report) -> Result<(), MemoryError> {
        let (originals, items) = self.database().write(
            |transaction| {
                let mut counts = [0; 2];
                let tables = [
                    (
                        "SELECT id, text FROM originals",
                        "DELETE FROM originals WHERE id = ?1",
                    ),
                    (
                        "SELECT id, text || ' ' || slot || ' ' || origin FROM working_items",
                        "DELETE FROM working_items WHERE id = ?1",
                    ),
                ];
                for ((select, delete), count) in tables.into_iter().zip(&mut counts) {
                    let mut select = transaction.prepare(select)?;
                    let mut rows = select.query([])?;
                    let mut found: Vec<rusqlite::types::Value> = Vec::new();
                    while let Some(row) = rows.next()? {
                        if needles.are_in(&row.get::<_, String>(1)?) {
                            found.push(row.get(0)?);
                        }
                    }
                    for id in &found {
                        transaction.execute("DELETE FROM original_uses WHERE id = ?1", [id])?;
                        *count += transaction.execute(delete, [id])?;
                    }
                }
                let mut paths = transaction.prepare("SELECT path FROM backups")?;
                let paths: Vec<String> = paths.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                for path in paths.iter().filter(|path| needles.are_in(path)) {
                    transaction.execute("DELETE FROM backups WHERE path = ?1", [path])?;
                }
                Ok((counts[0], counts[1]))
            },
            |_| (),
        )?;
        report.originals += originals;
        report.working_items += items;
        Ok(())
    }

    fn count_originals(&self) -> Result<usize, MemoryError> {
        self.database().read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM originals", [], |row| row.get(0))?)
        })
    }

    /// Documents, sessions and items that came from a source or a skill.
    fn forget_origin(
        &self,
        what: &Forget,
        name: &str,
        removed: &mut Vec<String>,
        report: &mut Report,
    ) -> Result<(), MemoryError> {
        for info in self.documents(None)?.iter().filter(|info| is_from(info, what)) {
            self.forget_document(&info.id, removed, report)?;
        }
        if let Forget::Source(_) = what {
            let before = self.count_originals()?;
            let listed = self.session_ids()?.iter().any(|id| id == name);
            if listed {
                report.sessions_removed += usize::from(self.forget_session(name)?);
            }
            let original = name
                .strip_prefix("expand(")
                .and_then(|rest| rest.strip_suffix(')'))
                .unwrap_or(name);
            self.database().write(
                |transaction| {
                    originals::release(transaction, name)?;
                    transaction.execute("DELETE FROM original_uses WHERE id = ?1", [original])?;
                    Ok(transaction.execute("DELETE FROM originals WHERE id = ?1", [original])?)
                },
                |_| (),
            )?;
            report.originals += before.saturating_sub(self.count_originals()?);
        } else {
            report.working_items += self.database().write(
                |transaction| Ok(transaction.execute("DELETE FROM working_items WHERE origin = ?1", [name])?),
                |_| (),
            )?;
        }
        Ok(())
    }

    fn forget_in_graph(
        &self,
        what: &Forget,
        needles: Option<&Needles>,
        removed: &[String],
        report: &mut Report,
    ) -> Result<(), MemoryError> {
        let graph = self.graph();
        let mut targets = match what {
            Forget::Source(name) => vec![Oblivion::Document(name.clone()), Oblivion::Session(name.clone())],
            Forget::Skill(name) => vec![Oblivion::Skill(name.clone())],
            Forget::Phrase(phrase) => vec![Oblivion::Phrase(phrase.clone())],
            Forget::Person(_) => Vec::new(),
        };
        for namespace in graph.namespaces()? {
            if needles.is_some_and(|needles| needles.are_in(&namespace)) {
                targets = vec![Oblivion::Everything];
            } else if let (Forget::Person(_), Some(needles)) = (what, needles) {
                targets = graph.named_like(&namespace, |text| needles.are_in(text))?;
            }
            let sources = removed.iter().cloned().map(Oblivion::Document);
            for target in targets.iter().cloned().chain(sources) {
                let forgotten = graph.forget(&namespace, &target)?;
                report.facts += forgotten.facts;
                report.entities += forgotten.entities;
            }
        }
        Ok(())
    }
}

fn is_from(info: &DocumentInfo, what: &Forget) -> bool {
    match what {
        Forget::Source(name) => {
            [&info.source, &info.key, &info.id].contains(&name)
                || (info.namespace == crate::session::SESSIONS_NAMESPACE
                    && info.key.starts_with(&format!("{name}/")))
        }
        Forget::Skill(skill) => {
            let published = format!("{}{}.", working::PREFIX, working::slug(skill));
            info.namespace == format!("skill-{skill}")
                || (info.namespace == working::NAMESPACE && info.key.starts_with(&published))
        }
        _ => false,
    }
}

/// A line without the sentences that hold the needles.
fn without(record: &SessionRecord, needles: &Needles) -> SessionRecord {
    match record {
        SessionRecord::Message { timestamp, message } => {
            let mut message: SessionMessage = message.clone();
            for block in &mut message.content {
                if let Some(text) = block.text.as_mut().filter(|text| needles.are_in(text)) {
                    *text = needles.without(text);
                }
                for value in block.rest.values_mut() {
                    needles.cut_from(value);
                }
            }
            SessionRecord::Message {
                timestamp: *timestamp,
                message,
            }
        }
        SessionRecord::Compaction {
            timestamp,
            compaction_count,
            summary,
            preserved_messages,
            pinned,
            references,
        } => {
            let keep = |pin: &&Pin| !needles.are_in(&pin.text);
            SessionRecord::Compaction {
                timestamp: *timestamp,
                compaction_count: *compaction_count,
                summary: if needles.are_in(summary) {
                    needles.without(summary)
                } else {
                    summary.clone()
                },
                preserved_messages: *preserved_messages,
                pinned: pinned.iter().filter(keep).cloned().collect(),
                references: references.clone(),
            }
        }
        other => other.clone(),
    }
}
