//! An S3 server with one bucket, and a look at every byte it keeps.

use std::fs;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use tempfile::TempDir;

use crate::server::Server;

/// The bucket that the server has from the start.
const BUCKET: &str = "lake";

/// An S3 server. It can be stopped and started again with its objects and address.
#[derive(Debug)]
pub struct S3 {
    server: Option<Server>,
    address: String,
    data: TempDir,
}

impl S3 {
    pub fn start() -> Self {
        let data = TempDir::with_prefix("casewatch-s3-").expect("a temporary folder can be made");
        let server = Server::start("s3", &["--data", &data.path().display().to_string()]);
        let address = server.address.clone();
        Self {
            server: Some(server),
            address,
            data,
        }
    }

    /// Address of a lake in the bucket.
    pub fn lake(&self, name: &str) -> String {
        format!("s3://{BUCKET}/{name}")
    }

    /// `[lake.options]` with which casewatch reaches it.
    pub fn options(&self) -> Vec<(String, String)> {
        let options = [
            ("aws_endpoint", self.address.as_str()),
            ("aws_region", "us-east-1"),
            ("aws_access_key_id", "casewatch"),
            ("aws_secret_access_key", "not a secret"),
            ("aws_allow_http", "true"),
        ];
        options.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    }

    /// Ends the server; its objects stay.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Brings a stopped server back at the same address with the same objects.
    pub fn start_again(&mut self) {
        self.server = Some(Server::start_at("s3", &self.address, self.data.path()));
    }

    /// Names of the objects below `prefix` in which `needle` stands, in their bytes or, for Parquet, in what they say:
    /// compression must not hide anything. Read from the server's own folder, so that nothing is missed that it keeps.
    pub fn objects_that_say(&self, prefix: &str, needle: &str) -> Vec<String> {
        let mut found = Vec::new();
        let folders = fs::read_dir(self.data.path().join(BUCKET)).expect("the server keeps a folder a bucket");
        for folder in folders.map(|entry| entry.expect("a folder can be listed").path()) {
            let Ok(about) = fs::read_to_string(folder.join("objectMetadata.json")) else {
                continue;
            };
            let about: serde_json::Value = serde_json::from_str(&about).expect("the server describes objects as JSON");
            let key = about["key"].as_str().expect("an object has a key").to_owned();
            let content = folder.join("binaryData");
            if key.starts_with(prefix) && (key.contains(needle) || says(&key, &content, needle)) {
                found.push(key);
            }
        }
        found
    }
}

fn says(key: &str, content: &Path, needle: &str) -> bool {
    let bytes = fs::read(content).unwrap_or_default();
    if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
        return true;
    }
    if !key.ends_with(".parquet") {
        return false;
    }
    let file = fs::File::open(content).expect("an object's content can be read");
    let reader = SerializedFileReader::new(file).expect("an object named so is Parquet");
    let mut rows = reader.get_row_iter(None).expect("Parquet has rows");
    rows.any(|row| row.expect("a row can be read").to_string().contains(needle))
}
