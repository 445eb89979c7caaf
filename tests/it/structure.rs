//! The order of the modules, and generated documents.

use std::collections::HashMap;
use std::path::Path;

use cloud_native_mcp::{config, tools};

fn source(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Every Rust file below a folder, with its text.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn a_module_uses_only_those_below_it() {
    let library = source("src/lib.rs");
    let modules: Vec<&str> =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let order: HashMap<&str, usize> = modules.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let mut found = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut wrong = Vec::new();
    for (name, text) in found {
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        let Some(own) = order.get(module.as_str()) else { continue };
        for (used, place) in &order {
            if place < own && text.contains(&format!("crate::{used}::")) {
                wrong.push(format!("{name} uses {used}, which stands above it in src/lib.rs"));
            }
        }
        // Groups: `use crate::{auth, edge};`
        for group in text.split("use crate::{").skip(1) {
            for part in group.split("};").next().unwrap_or_default().split(',') {
                let used = part.trim().split("::").next().unwrap_or_default();
                if order.get(used).is_some_and(|place| place < own) {
                    wrong.push(format!("{name} uses {used}, which stands above it in src/lib.rs"));
                }
            }
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Holds a generated document against the program; `UPDATE=1` writes it.
fn check_document(path: &str, fresh: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::vars().any(|(name, value)| name == "UPDATE" && value == "1") {
        std::fs::write(&file, fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == fresh, "{path} is stale; run `UPDATE=1 cargo test --test it structure`");
}

#[test]
fn the_reference_of_settings_is_fresh() {
    check_document("docs/CONFIGURATION.md", &config::markdown());
}

#[test]
fn the_reference_of_tools_is_fresh() {
    check_document("docs/TOOLS.md", &tools::reference::markdown());
}
