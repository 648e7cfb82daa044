//! The bodies of the fuzz targets: each takes arbitrary bytes and panics when an invariant does not hold.

use crate::session::{Budget, ExtractiveSummarizer, SessionRecord, SessionView, message_tokens, pins, plan};

/// Whatever the lines of a session are, what can be read of them is written the same again, and can be compacted
/// without parting a message or losing one.
///
/// # Panics
/// When an invariant does not hold.
pub fn session(data: &[u8]) {
    let mut records = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(record) = SessionRecord::parse(line) else {
            continue;
        };
        let written = serde_json::to_vec(&record).unwrap_or_default();
        let again = SessionRecord::parse(&written);
        assert!(
            again.is_ok_and(|again| again == record),
            "a line is written as it was read"
        );
        records.push(record);
    }
    let view = SessionView::of(records);
    for message in &view.messages {
        for text in message.content.iter().filter_map(|block| block.text.as_deref()) {
            assert!(
                pins(message.role, text)
                    .iter()
                    .all(|pin| text.contains(&pin.text)),
                "pins are verbatim"
            );
        }
    }
    let window = 100 + data.len();
    if let Ok(Some(plan)) = plan(&view, &Budget::of_window(window), &ExtractiveSummarizer) {
        assert_eq!(plan.dropped.len() + plan.preserved, view.messages.len());
        assert!(plan.dropped.iter().map(message_tokens).sum::<usize>() > 0);
    }
}

/// Whatever a server answers, reading it ends in rows or an error, and an identifier of a transaction never leads to
/// another path.
///
/// # Panics
/// When an invariant does not hold.
#[cfg(feature = "neo4j")]
pub fn neo4j(data: &[u8]) {
    use crate::graph::neo4j::wire::{self, Api};
    let [api, status, body @ ..] = data else { return };
    let api = if api % 2 == 0 {
        Api::Query
    } else {
        Api::Transactional
    };
    let status = [200, 201, 202, 400, 404, 429, 500, 503][usize::from(status % 8)];
    let _ = wire::discovered(body);
    match wire::read(api, status, body) {
        Err(error) => {
            let _ = wire::is_worth_retrying(&error);
        }
        Ok(answer) => {
            assert!((200..300).contains(&status), "an error status is an error");
            assert!(
                answer
                    .transaction
                    .is_none_or(|id| !id.contains(['/', '.', '%', '?', '#']))
            );
            for row in answer.rows {
                let mut columns = wire::Columns::of(row);
                while columns.int().is_ok() || columns.text().is_ok() {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let files = std::fs::read_dir(dir).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    /// Each seed, cut and with changed bytes.
    fn around(target: &str, run: fn(&[u8])) {
        let mut state = 7u64;
        for seed in seeds(target) {
            run(&seed);
            for round in 0..400 {
                let mut changed = seed.clone();
                for _ in 0..1 + round % 4 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let place = (state >> 33) as usize % changed.len();
                    changed[place] = (state >> 20) as u8;
                }
                changed.truncate(changed.len() - (round % 7) * changed.len() / 50);
                run(&changed);
            }
        }
    }

    #[test]
    fn sessions() {
        assert!(!seeds("session").is_empty());
        around("session", super::session);
    }

    #[cfg(feature = "neo4j")]
    #[test]
    fn answers_of_neo4j() {
        assert!(seeds("neo4j").len() >= 3);
        around("neo4j", super::neo4j);
    }
}
