//! The text for a prompt.

use super::{Item, Kind};
use crate::chunk::count_tokens;

/// Items of one kind in a rendering.
const MAX_PER_KIND: usize = 24;

const DAY_MS: f64 = 86_400_000.0;

/// How much an item matters at a time: its confidence, more for what was heard often, less for what was heard long
/// ago. Half of it is left after 180 days for a preference, 30 for a goal, 45 for an entity; constraints do not age.
pub fn score(item: &Item, now_ms: i64) -> f32 {
    let half_life = match item.kind {
        Kind::Preference => 180.0,
        Kind::Goal => 30.0,
        Kind::Entity => 45.0,
        Kind::Constraint => f64::INFINITY,
    };
    let days = (now_ms.saturating_sub(item.last_ms)).max(0) as f64 / DAY_MS;
    let evidence = 1.0 + f64::from(item.evidence.max(1)).ln();
    (f64::from(item.confidence) * evidence * 0.5_f64.powf(days / half_life)) as f32
}

const HEAD: &str = "[User working memory]";

/// The items that matter most and fit, in the order of kind, origin and slot.
pub(super) fn render(items: &[Item], now_ms: i64, max_tokens: usize) -> String {
    let mut order: Vec<&Item> = items.iter().collect();
    order.sort_by(|a, b| {
        b.pinned
            .cmp(&a.pinned)
            .then(score(b, now_ms).total_cmp(&score(a, now_ms)))
            .then(a.id.cmp(&b.id))
    });
    let mut chosen: Vec<&Item> = Vec::new();
    // Headings are paid for when the first item of their kind comes.
    let mut tokens = count_tokens(HEAD) + 1;
    for item in order {
        let of_kind = chosen.iter().filter(|chosen| chosen.kind == item.kind).count();
        let heading = if of_kind == 0 {
            count_tokens(&heading(item.kind)) + 2
        } else {
            0
        };
        let cost = count_tokens(&line(item)) + 1 + heading;
        if of_kind < MAX_PER_KIND && tokens + cost <= max_tokens {
            tokens += cost;
            chosen.push(item);
        }
    }
    if chosen.is_empty() {
        return String::new();
    }
    let mut text = HEAD.to_owned();
    for kind in Kind::ALL {
        let of_kind: Vec<&&Item> = items
            .iter()
            .filter_map(|item| {
                chosen
                    .iter()
                    .find(|chosen| chosen.id == item.id && item.kind == kind)
            })
            .collect();
        if !of_kind.is_empty() {
            text.push_str("\n\n");
            text.push_str(&heading(kind));
            for item in of_kind {
                text.push('\n');
                text.push_str(&line(item));
            }
        }
    }
    text.push('\n');
    text
}

fn heading(kind: Kind) -> String {
    let plural = kind.plural();
    format!("## {}{}", plural[..1].to_uppercase(), &plural[1..])
}

fn line(item: &Item) -> String {
    format!("- {}", item.text)
}
