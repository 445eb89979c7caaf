//! Makes an answer fit: fewer columns, then shorter cells, then fewer rows, and says what was left out.

use serde_json::{Map, Value, json};

use super::clean::{clean_row, clean_text, clean_value};
use super::table::Table;
use super::{Answer, Page, Row, text};

/// Tokens kept free for the lines about what was left out.
const RESERVE: usize = 120;

/// Columns left out that are named.
const MOST_NAMES: usize = 12;

/// Characters of a cell when there is room.
const WIDE: usize = 160;

/// Characters of a cell of the only row, which is laid out line by line.
const WIDEST: usize = 4_000;

/// An estimate of how many tokens a text is for a language model, rather too high than too low.
///
/// Letters come four to a token and more, digits three, other marks mostly alone; a blank belongs to the word after it.
#[must_use]
pub fn tokens(text: &str) -> usize {
    let mut twelfths = 0_usize; // of a token
    let mut blank = false;
    for byte in text.bytes() {
        let was_blank = std::mem::replace(&mut blank, byte == b' ');
        twelfths += match byte {
            b'a'..=b'z' | b'A'..=b'Z' => 3,
            b'0'..=b'9' => 4,
            b' ' if was_blank => 0,
            b' ' => 2,
            0x80.. => 5,
            _ => 7,
        };
    }
    twelfths.div_ceil(12)
}

/// Twelfths of a token that no byte exceeds.
const MOST_PER_BYTE: usize = 7;

/// Whether a text fits. Most do by far, which their length says already.
fn text_fits(text: &str, budget: usize) -> bool {
    text.len() * MOST_PER_BYTE < budget * 12 || tokens(text) <= budget
}

/// Whether values fit, as JSON.
fn values_fit(values: &[Value], budget: usize) -> bool {
    let most_bytes: usize = values.iter().map(most_bytes).sum();
    most_bytes * MOST_PER_BYTE < budget * 12 || tokens(&json!(values).to_string()) <= budget
}

/// Bytes of JSON that a value stays below, without writing it.
fn most_bytes(value: &Value) -> usize {
    // Every character of clean text takes two bytes at most when it is escaped.
    let text = |text: &str| 2 * text.len() + 4;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 32,
        Value::String(string) => text(string),
        Value::Array(items) => 4 + items.iter().map(most_bytes).sum::<usize>(),
        Value::Object(map) => 4 + map.iter().map(|(key, value)| text(key) + most_bytes(value)).sum::<usize>(),
    }
}

/// An answer that fits, still without the lines that lead to the rest.
#[derive(Clone, Debug, Default)]
pub struct Fitted {
    /// What people and models read.
    pub text: String,
    /// The same, typed.
    pub structured: Option<Value>,
    /// Where the next page begins, when rows are left.
    pub next: Option<usize>,
    /// Whether anything was cut away that the next pages do not bring back.
    pub cut: bool,
}

/// Fits the part of an answer that `page` asks for into its budget.
#[must_use]
pub fn fit(answer: &mut Answer, page: Page) -> Fitted {
    answer.notes.iter_mut().chain(&mut answer.text).for_each(clean_text);
    if let Some(facts) = &mut answer.facts {
        clean_value(facts);
    }
    let budget = page.max_tokens.saturating_sub(RESERVE).max(RESERVE);
    let mut fitted = match answer.rows.take() {
        Some(mut rows) => {
            // All of them, as those beyond this page are kept for the next ones.
            for row in &mut rows {
                clean_row(row);
            }
            let fitted = fit_rows(answer, &rows, page, budget);
            answer.rows = Some(rows);
            fitted
        }
        None => fit_facts(answer, budget),
    };
    if answer.structured.is_some() {
        fitted.structured.clone_from(&answer.structured);
    }
    fitted
}

fn fit_rows(answer: &Answer, rows: &[Row], page: Page, budget: usize) -> Fitted {
    let offset = page.offset.min(rows.len());
    let window = &rows[offset..offset.saturating_add(page.limit).min(rows.len())];
    let Head { text: head, pruned, mut cut } = head(answer, budget / 2);
    let facts = pruned.or_else(|| answer.facts.clone());
    let room = budget.saturating_sub(tokens(&head).max(facts.as_ref().map_or(0, |facts| tokens(&facts.to_string()))));
    let mut table = Table::new(window);
    let mut count = window.len();
    let mut width = if window.len() == 1 { WIDEST } else { WIDE };
    let render = |table: &Table, count: usize, width: usize| {
        let (rows, common) = table.structured(window, count, width);
        let (text, is_cut) = table.text(count, width);
        (text, [Value::Array(rows), Value::Object(common)], is_cut)
    };
    let fits = |(text, typed, _): &(String, [Value; 2], bool)| text_fits(text, room) && values_fit(typed, room);
    let mut shown = render(&table, count, width);
    if !fits(&shown) {
        width = WIDE;
        shown = render(&table, count, width);
        while !fits(&shown) && table.drop_column() {
            shown = render(&table, count, width);
        }
        for shorter in [60, 30] {
            if !fits(&shown) {
                width = shorter;
                shown = render(&table, count, width);
            }
        }
        if !fits(&shown) {
            // The largest number of rows that fits; one row is shown in any case, or no page would ever end.
            let (mut low, mut high) = (1, count);
            while low < high {
                let middle = low + (high - low).div_ceil(2);
                if fits(&render(&table, middle, width)) { low = middle } else { high = middle - 1 }
            }
            count = low.min(window.len());
            shown = render(&table, count, width);
        }
    }
    let (text, [typed, common], is_cut) = shown;
    let mut notes = answer.notes.clone();
    if !table.dropped().is_empty() {
        cut = true;
        notes.push(format!("Columns left out for room: {}.", some(table.dropped())));
    }
    if is_cut {
        cut = true;
        notes.push("Long cells are shortened.".into());
    }
    let known = answer.total.map_or(0, |total| total + page.before as u64);
    let total = known.max((page.before + rows.len()) as u64);
    let shown = offset + count;
    let next = (shown < rows.len()).then_some(shown);
    let has_more = next.is_some() || answer.next.is_some();
    let mut body = head;
    push_paragraph(&mut body, &text);
    if window.is_empty() && answer.facts.is_none() && answer.text.is_none() {
        push_paragraph(&mut body, if page.before + offset == 0 { "Nothing found." } else { "No more rows." });
    }
    if has_more || page.before + offset > 0 || total > rows.len() as u64 {
        let last = page.before + shown;
        let is_known = answer.next.is_none() || total > (page.before + rows.len()) as u64;
        let total = if is_known { total.to_string() } else { "more".to_owned() };
        notes.insert(0, format!("Rows {} to {last} of {total}.", (page.before + offset + 1).min(last)));
    }
    let mut structured = Map::new();
    structured.insert("rows".into(), typed);
    if common != json!({}) {
        structured.insert("common".into(), common);
    }
    structured.insert("total".into(), total.into());
    if let Some(facts) = facts {
        structured.insert("facts".into(), facts);
    }
    push_notes(&mut body, &mut structured, &notes);
    Fitted { text: body, structured: Some(structured.into()), next, cut }
}

/// The last columns to go, which are the first that one misses.
fn some(dropped: &[String]) -> String {
    let mut names: Vec<_> = dropped.iter().rev().take(MOST_NAMES).cloned().collect();
    if dropped.len() > MOST_NAMES {
        names.push(format!("and {} more", dropped.len() - MOST_NAMES));
    }
    names.join(", ")
}

fn fit_facts(answer: &mut Answer, budget: usize) -> Fitted {
    let Head { text: mut body, pruned, cut } = head(answer, budget);
    let facts = match pruned {
        Some(pruned) => Some(pruned),
        // What is cut elsewhere is kept whole, and so are its facts.
        None if cut => answer.facts.clone(),
        None => answer.facts.take(),
    };
    let mut structured = match facts {
        Some(Value::Object(facts)) => Some(facts),
        _ => None,
    };
    push_notes(&mut body, structured.as_mut().unwrap_or(&mut Map::new()), &answer.notes);
    Fitted { text: body, structured: structured.map(Value::Object), next: None, cut }
}

/// The part above the rows.
struct Head {
    /// The tool's own text, or its facts line by line.
    text: String,
    /// The facts where they had to be shortened.
    pruned: Option<Value>,
    cut: bool,
}

fn head(answer: &Answer, budget: usize) -> Head {
    let pruned = answer.facts.as_ref().and_then(|facts| prune(facts, budget));
    let mut cut = pruned.is_some();
    let text = match (&answer.text, pruned.as_ref().or(answer.facts.as_ref())) {
        (Some(text), _) => {
            let (text, shortened) = cut_lines(text, budget);
            cut |= shortened;
            text
        }
        (None, Some(facts)) => text::lines(facts),
        (None, None) => String::new(),
    };
    Head { text, pruned, cut }
}

/// Whole lines from the top, as many as fit.
fn cut_lines(text: &str, budget: usize) -> (String, bool) {
    if text_fits(text, budget) {
        return (text.to_owned(), false);
    }
    let mut kept = String::new();
    let mut spent = 0;
    for line in text.lines() {
        spent += tokens(line) + 1;
        if spent > budget {
            let room = budget.saturating_sub(spent - tokens(line));
            kept.extend(line.chars().take(room * 2));
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept.push('…');
    (kept, true)
}

/// Shortens lists and texts inside a value, more and more, until it fits; none where it does already.
fn prune(value: &Value, budget: usize) -> Option<Value> {
    let fits = |value: &Value| values_fit(std::slice::from_ref(value), budget);
    if fits(value) {
        return None;
    }
    let mut pruned = value.clone();
    let steps = [
        (400, 64_000),
        (400, 32_000),
        (300, 16_000),
        (300, 8_000),
        (200, 4_000),
        (100, 1_000),
        (50, 400),
        (20, 200),
        (10, 120),
        (5, 80),
        (3, 40),
        (1, 20),
    ];
    for (items, characters) in steps {
        shorten(&mut pruned, items, characters);
        if fits(&pruned) {
            break;
        }
    }
    Some(pruned)
}

fn shorten(value: &mut Value, items: usize, characters: usize) {
    match value {
        Value::String(text) if text.chars().count() > characters => {
            *text = text.chars().take(characters.saturating_sub(1)).chain(['…']).collect();
        }
        Value::Array(list) => {
            list.truncate(items);
            for value in list {
                shorten(value, items, characters);
            }
        }
        Value::Object(map) => map.values_mut().for_each(|value| shorten(value, items, characters)),
        _ => {}
    }
}

fn push_paragraph(body: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    if !body.is_empty() {
        body.push_str("\n\n");
    }
    body.push_str(text);
}

fn push_notes(body: &mut String, structured: &mut Map<String, Value>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    push_paragraph(body, &notes.join("\n"));
    structured.insert("notes".into(), notes.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(count: usize) -> Answer {
        let rows = (0..count)
            .map(|n| {
                let row = json!({"name": format!("pod-{n}"), "state": "Running", "node": format!("node-{}", n % 7),
                    "restarts": n, "image": format!("registry.example/app:{}", "f".repeat(50 + n % 3))});
                row.as_object().unwrap().clone()
            })
            .collect();
        Answer { rows: Some(rows), ..Answer::default() }
    }

    fn page(offset: usize, limit: usize, max_tokens: usize) -> Page {
        Page { before: 0, offset, limit, max_tokens }
    }

    #[test]
    fn an_answer_keeps_to_its_budget_and_all_rows_are_reached_page_by_page() {
        for max_tokens in [400, 1_000, 4_000] {
            let mut offset = 0;
            let mut seen = Vec::new();
            loop {
                let fitted = fit(&mut answer(300), page(offset, 100, max_tokens));
                let structured = fitted.structured.unwrap();
                assert!(tokens(&fitted.text) <= max_tokens, "{}", tokens(&fitted.text));
                assert!(tokens(&structured.to_string()) <= max_tokens, "{}", tokens(&structured.to_string()));
                seen.extend(structured["rows"].as_array().unwrap().iter().map(|row| row["name"].clone()));
                match fitted.next {
                    Some(next) => offset = next,
                    None => break,
                }
            }
            assert_eq!(seen, (0..300).map(|n| json!(format!("pod-{n}"))).collect::<Vec<_>>());
        }
    }

    #[test]
    fn facts_too_large_for_the_budget_are_pruned_and_said_so() {
        let facts = json!({"config": "line\n".repeat(5_000), "flags": vec!["x"; 5_000]});
        let fitted = fit(&mut Answer { facts: Some(facts), ..Answer::default() }, page(0, 10, 1_000));
        assert!(fitted.cut);
        assert!(tokens(&fitted.text) <= 1_000 && tokens(&fitted.structured.unwrap().to_string()) <= 1_000);
    }

    #[test]
    fn the_only_row_is_shown_whole_where_it_fits() {
        let one = |length| {
            let row = json!({"name": "a", "expression": "x".repeat(length)});
            Answer { rows: Some(vec![row.as_object().unwrap().clone()]), ..Answer::default() }
        };
        assert_eq!(fit(&mut one(900), page(0, 10, 1_000)).text, format!("name: a\nexpression: {}", "x".repeat(900)));
        assert!(tokens(&fit(&mut one(9_000), page(0, 10, 1_000)).text) <= 1_000);
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(fit(&mut answer(0), page(0, 10, 1_000)).text, "Nothing found.");
        assert_eq!(fit(&mut answer(3), page(3, 10, 1_000)).text, "No more rows.\n\nRows 3 to 3 of 3.");
    }
}
