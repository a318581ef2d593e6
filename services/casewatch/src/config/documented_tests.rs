//! deploy/casewatch.toml lists every key with the default that it has, and the configurations of deploy/ are accepted.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use super::{Board, Config, Http, LimitsSection, Live};
use crate::gateway::GatewaySection;

/// The documented file, with the defaults that it shows in comments switched on.
fn documented() -> toml::Table {
    let text = include_str!("../../../../deploy/casewatch.toml");
    let mut shown = String::new();
    for line in text.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let is_section = bare.starts_with('[') && !bare.starts_with("[[");
        let is_key = bare.split_once(" = ").is_some_and(|(key, _)| {
            let word = |c: char| c.is_ascii_lowercase() || c == '_';
            !key.is_empty() && key.chars().all(word)
        });
        if is_section || is_key && line != bare {
            shown.push_str(bare);
            shown.push('\n');
        }
    }
    toml::from_str(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}"))
}

/// Keys and defaults of one section as they are documented, and as they are.
fn is_documented<T: Default + fmt::Debug + for<'a> Deserialize<'a>>(section: &str) {
    let documented = documented()[section].clone();
    let keys: Vec<&String> = documented.as_table().expect("a section").keys().collect();
    let read: T = documented.clone().try_into().expect("every documented key is known");
    let defaults = format!("{:?}", T::default());
    assert_eq!(format!("{read:?}"), defaults, "[{section}] documents other defaults");
    for key in defaults.split(['{', ',']).filter_map(|part| part.split_once(": ")) {
        let key = key.0.trim();
        assert!(
            keys.iter().any(|found| *found == key),
            "[{section}] {key} is not documented"
        );
    }
}

#[test]
fn every_limit_is_documented_with_the_default_that_it_has() {
    is_documented::<LimitsSection>("limits");
    is_documented::<Live>("live");
    is_documented::<Http>("http");
    is_documented::<GatewaySection>("gateway");
    is_documented::<Board>("board");
}

#[test]
fn the_configurations_of_deploy_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let deploy = root.join("deploy");
    for name in ["compose/casewatch.toml", "kubernetes/casewatch.toml"] {
        let path = deploy.join(name);
        let text = std::fs::read_to_string(&path).expect("the file is there");
        // Where the image has them.
        let text = text.replace("/usr/share/casewatch", &root.display().to_string());
        let config = Config::parse(&text, &deploy).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(
            config.opens_gateway() && !config.gateway.listen.ip().is_loopback(),
            "{name}"
        );
        assert!(
            !config.board.listen.ip().is_loopback() && config.access.users.is_some(),
            "{name}"
        );
    }
}
