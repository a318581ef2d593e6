//! Relative paths of a configuration file are relative to its folder, those of secrets among them.

use std::path::Path;

use super::{Config, ImagePlace, Secret};

impl Config {
    /// Makes every relative path one from where the program runs.
    pub(super) fn in_folder(&mut self, folder: &Path) {
        for path in [&mut self.schemas, &mut self.queries] {
            *path = folder.join(&path);
        }
        if let Some(users) = &mut self.access.users {
            *users = folder.join(&users);
        }
        if let ImagePlace::At(images) = &mut self.live.images {
            *images = folder.join(&images);
        }
        if !self.lake.url.contains("://") {
            self.lake.url = folder.join(&self.lake.url).display().to_string();
        }
        self.gateway.in_folder(folder);
        for secret in self.secrets() {
            if let Secret::File { file } = secret {
                *file = folder.join(&file);
            }
        }
    }

    fn secrets(&mut self) -> impl Iterator<Item = &mut Secret> {
        let registry = self.registry.iter_mut();
        let registry = registry.flat_map(|registry| registry.password.iter_mut().chain(registry.token.iter_mut()));
        let kafka = self.kafka.properties.values_mut();
        let keys = self.keys.hmac.values_mut().chain(self.lake.payload_key.iter_mut());
        kafka.chain(registry).chain(keys).chain(self.lake.options.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_relative_path_is_relative_to_the_file_and_secrets_are_no_exception() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = r#"
            access.users = "users.toml"
            live.images = "images"
            [kafka]
            brokers = "localhost:9092"
            [kafka.properties]
            "sasl.password" = { file = "kafka" }
            [[sources]]
            name = "mosaic"
            topic_prefix = "mosaic."
            order = "source"
            [registry]
            url = "http://localhost:8081"
            password = { file = "password" }
            token = { file = "token" }
            [keys.hmac]
            child = { file = "keys/child" }
            household = { file = "/keys/household" }
            [lake]
            payload_key = { file = "keys/payload" }
            options = { aws_secret_access_key = { file = "s3" } }
        "#;
        let mut config = Config::parse(text, &root).unwrap();
        let files = config.secrets().map(|secret| match secret {
            Secret::File { file } => file.clone(),
            other => panic!("{other:?} is no file"),
        });
        let files: Vec<PathBuf> = files.collect();
        let below = |name: &str| root.join(name);
        let expected = [
            "kafka",
            "password",
            "token",
            "keys/child",
            "/keys/household",
            "keys/payload",
            "s3",
        ];
        assert_eq!(files, expected.map(below));
        assert_eq!(config.access.users, Some(below("users.toml")));
        assert_eq!(config.live.images, ImagePlace::At(below("images")));
        assert_eq!(config.lake.url, below("data/lake").display().to_string());
        assert_eq!((config.schemas, config.queries), (below("schemas"), below("queries")));
    }
}
