//! Where the lake lives: one object store rooted at the volume or bucket, and the lake's prefix in it.
//!
//! S3 is built here with object_store's conditional put (`If-None-Match`), so a Delta commit is one atomic
//! put-if-absent on every store; no lock table, no rename.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};
use url::Url;

use crate::durable::DurableFolder;
use crate::error::{LakeError, Result};

/// The store at the root of the volume or bucket, and the lake's place in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub store: Arc<dyn ObjectStore>,
    pub prefix: Path,
    /// The lake's address, always ending in `/`.
    pub url: Url,
}

pub(crate) fn open(root: &Url, options: &HashMap<String, String>, durable: bool) -> Result<Place> {
    let refuse = |detail: String| LakeError::Root {
        root: root.to_string(),
        detail,
    };
    let mut url = root.clone();
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    let prefix = Path::from_url_path(url.path()).map_err(|error| refuse(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "file" => {
            let folder = url.to_file_path().map_err(|()| refuse("not an absolute path".into()))?;
            std::fs::create_dir_all(&folder).map_err(|error| refuse(error.to_string()))?;
            if durable {
                Arc::new(DurableFolder::new())
            } else {
                Arc::new(LocalFileSystem::new())
            }
        }
        "s3" => {
            let mut builder = AmazonS3Builder::from_env()
                .with_url(root.as_str())
                .with_retry(patience());
            for (key, value) in options {
                let key = key.to_ascii_lowercase();
                let key = key
                    .parse()
                    .map_err(|_| refuse(format!("unknown storage option '{key}'")))?;
                builder = builder.with_config(key, value);
            }
            Arc::new(builder.build().map_err(|error| refuse(error.to_string()))?)
        }
        "memory" => Arc::new(InMemory::new()),
        other => return Err(refuse(format!("scheme '{other}' is not supported"))),
    };
    Ok(Place { store, prefix, url })
}

/// How long one request is tried again. Short: whoever waits for the lake waits by itself, and says so (ingestion pauses
/// and counts it); the library's own three minutes would only hide that the store is away.
fn patience() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 8,
        retry_timeout: Duration::from_secs(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_or_storage_option_is_refused_by_name() {
        let refused = open(&Url::parse("ftp://host/lake").unwrap(), &HashMap::new(), false).unwrap_err();
        assert!(
            refused.to_string().contains("scheme 'ftp' is not supported"),
            "{refused}"
        );
        let options = HashMap::from([("aws_regoin".to_owned(), "eu-west-2".to_owned())]);
        let refused = open(&Url::parse("s3://bucket/lake").unwrap(), &options, false).unwrap_err();
        assert!(
            refused.to_string().contains("unknown storage option 'aws_regoin'"),
            "{refused}"
        );
    }

    #[test]
    fn an_s3_address_gives_the_bucket_as_store_and_the_rest_as_prefix() {
        let options = HashMap::from([("aws_region".to_owned(), "eu-west-2".to_owned())]);
        let place = open(&Url::parse("s3://bucket/some/lake").unwrap(), &options, false).unwrap();
        assert_eq!(place.prefix.as_ref(), "some/lake");
        assert_eq!(place.url.as_str(), "s3://bucket/some/lake/");
    }
}
