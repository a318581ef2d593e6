//! Follows the directory of queries: debounced, checked whole, handed on whole (RULES 25).

use std::path::Path;
use std::time::Duration;

use casewatch_query::EngineConfig;
use tokio::sync::watch;

use crate::catalogue::content_hash;
use crate::check::{Checked, load};

/// What a runner is told of the directory: another catalogue, or why the one on disk is refused.
pub type Reload = Option<Result<Checked, String>>;

/// Looks every half `debounce`, and loads what has changed and then stood still for one. Ends when nobody listens.
/// `running` is the hash of the catalogue that runs.
pub async fn follow_directory(
    config: impl Fn() -> EngineConfig,
    running: String,
    debounce: Duration,
    reloads: watch::Sender<Reload>,
) {
    let directory = config().queries;
    let (mut handled, mut before) = (running.clone(), running);
    while !reloads.is_closed() {
        tokio::time::sleep(debounce / 2).await;
        let now = hash_of(&directory);
        let stands_still = now == before;
        before.clone_from(&now);
        if !stands_still || now == handled {
            continue;
        }
        handled = now;
        let outcome = load(config()).await.map_err(|faults| faults.to_string());
        // The last receiver may just have gone: then there is nobody to tell.
        let _ = reloads.send(Some(outcome));
    }
}

fn hash_of(directory: &Path) -> String {
    content_hash(directory, &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::definition::tests::OPEN_CASES;
    use crate::fixture::{Fixture, engine_config};

    #[tokio::test]
    async fn a_good_change_is_handed_on_and_a_bad_one_with_its_reason() {
        let fixture = Fixture::new(&[]);
        let (path, contract) = (fixture.path().to_owned(), Arc::clone(&fixture.contract));
        let running = fixture.checked().await.catalogue.hash.clone();
        let (sender, mut reloads) = watch::channel(None);
        let config = move || engine_config(&path, &contract);
        let following = tokio::spawn(follow_directory(
            config,
            running.clone(),
            Duration::from_millis(40),
            sender,
        ));
        fixture.write(
            "metrics/more.sql",
            &OPEN_CASES.replace("casewatch_cases_open", "casewatch_more"),
        );
        reloads.changed().await.unwrap();
        let changed = reloads.borrow_and_update().clone();
        let Some(Ok(checked)) = changed else {
            panic!("a good change")
        };
        assert_eq!(checked.queries.len(), 2);
        assert_ne!(checked.catalogue.hash, running);
        fixture.write("metrics/more.sql", "select 1");
        reloads.changed().await.unwrap();
        let refused = reloads.borrow_and_update().clone();
        let Some(Err(reason)) = refused else {
            panic!("a bad change")
        };
        assert!(
            reason.contains("more.sql:1:1: error: the header has no \"name\""),
            "{reason}"
        );
        drop(reloads);
        following.await.unwrap();
    }
}
