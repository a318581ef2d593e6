//! What a configuration opens: the contract, the keys, the registry, the lake. Every command that works on a system's
//! own data starts here.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use casewatch_contract::{
    Contract, HmacDomain, HmacKeys, RegistryAuth, RegistryClient, RegistryConfig, SchemaSource, Table,
};
use casewatch_ingest::config::KafkaConfig;
use casewatch_ingest::decoding::DecodeContext;
use casewatch_ingest::observe::IngestMetrics;
use casewatch_lake::{Lake, LakeConfig, PayloadKey, PayloadPolicy};

use crate::config::{Config, Registry};
use crate::failure::Failure;

pub struct Opened {
    pub config: Config,
    pub contract: Arc<Contract>,
    pub kafka: Arc<KafkaConfig>,
    pub keys: Arc<HmacKeys>,
    pub registry: Option<Arc<dyn SchemaSource>>,
    pub lake: Arc<Lake>,
}

impl Opened {
    /// Loads the configuration at `path` and opens what it names.
    ///
    /// # Errors
    /// A configuration, schema or key that is refused; a lake that cannot be opened.
    pub async fn load(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let config = Config::load(path).map_err(Failure::usage)?;
        if config.keys.demo {
            tracing::warn!(
                "keys.demo is set: identifiers are hashed with keys that everybody knows; synthetic data only"
            );
        }
        Self::of(config).await.map_err(|failure| failure.in_file(&name))
    }

    /// Opens what `config` names.
    ///
    /// # Errors
    /// As [`Opened::load`].
    pub async fn of(config: Config) -> Result<Self, Failure> {
        let Named {
            contract,
            kafka,
            keys,
            registry,
        } = Named::of(&config)?;
        let place = LakeConfig {
            keys: keys.clone(),
            ..lake_config(&config)?
        };
        let lake = Lake::open(place).await.map_err(Failure::failed)?;
        Ok(Self {
            config,
            contract,
            kafka,
            keys,
            registry,
            lake,
        })
    }

    /// The table of this name, as somebody typed it.
    ///
    /// # Errors
    /// A table that no schema describes.
    pub fn table(&self, name: &str) -> Result<&Arc<Table>, Failure> {
        self.contract.table(name).ok_or_else(|| {
            let known: Vec<_> = self.contract.tables().map(|table| table.name.as_str()).collect();
            Failure::usage(format!(
                "no schema describes a table `{name}`; expected one of {}",
                known.join(", ")
            ))
        })
    }

    /// What decoders of `role` share.
    pub fn decoding(&self, metrics: IngestMetrics, role: &'static str) -> DecodeContext {
        DecodeContext {
            cluster: self.kafka.cluster.clone(),
            keys: self.keys.clone(),
            registry: self.registry.clone(),
            metrics,
            role,
        }
    }
}

/// What a configuration names beside the lake.
struct Named {
    contract: Arc<Contract>,
    kafka: Arc<KafkaConfig>,
    keys: Arc<HmacKeys>,
    registry: Option<Arc<dyn SchemaSource>>,
}

impl Named {
    fn of(config: &Config) -> Result<Self, Failure> {
        let contract = Arc::new(Contract::load(&config.schemas).map_err(Failure::usage)?);
        let keys = Arc::new(hmac_keys(config)?);
        contract
            .check_keys(&keys)
            .map_err(|problem| Failure::usage(format!("keys.hmac: {problem}")))?;
        let kafka = Arc::new(config.kafka(&contract).map_err(Failure::usage)?);
        let registry = config.registry.as_ref().map(registry_client).transpose()?;
        Ok(Self {
            contract,
            kafka,
            keys,
            registry,
        })
    }
}

/// Refuses the configuration at `path` for what [`Opened::load`] refuses it for, without opening the lake.
///
/// # Errors
/// As [`Opened::load`].
pub fn checked(path: &Path) -> Result<Config, Failure> {
    let config = Config::load(path).map_err(Failure::usage)?;
    let named = Named::of(&config);
    named.map_err(|failure| failure.in_file(&path.display().to_string()))?;
    Ok(config)
}

fn hmac_keys(config: &Config) -> Result<HmacKeys, Failure> {
    if config.keys.demo {
        return Ok(HmacKeys::demo());
    }
    let mut keys = HmacKeys::none();
    for (domain, secret) in &config.keys.hmac {
        let digits = secret
            .read()
            .map_err(|problem| Failure::usage(format!("keys.hmac.{domain}: {problem}")))?;
        keys = keys
            .with_lines(HmacDomain::new(domain.as_str()), &digits)
            .map_err(|problem| Failure::usage(format!("keys.hmac.{domain}: {problem}")))?;
    }
    Ok(keys)
}

fn registry_client(registry: &Registry) -> Result<Arc<dyn SchemaSource>, Failure> {
    let read = |key: &str, secret: &crate::config::Secret| {
        secret
            .read()
            .map_err(|problem| Failure::usage(format!("registry.{key}: {problem}")))
    };
    let auth = match (&registry.username, &registry.password, &registry.token) {
        (None, None, None) => RegistryAuth::None,
        (Some(username), Some(password), None) => RegistryAuth::Basic {
            user: username.clone(),
            password: read("password", password)?,
        },
        (None, None, Some(token)) => RegistryAuth::Bearer {
            token: read("token", token)?,
        },
        _ => {
            return Err(Failure::usage(
                "registry: expected username and password, or token alone, or none of them",
            ));
        }
    };
    let config = RegistryConfig {
        auth,
        ..RegistryConfig::new(registry.url.clone())
    };
    Ok(Arc::new(RegistryClient::new(config).map_err(Failure::usage)?))
}

/// The lake's place, options and payload policy, without the keys: a restore brings those back itself.
///
/// # Errors
/// A secret that cannot be read, or a place that is none.
pub fn lake_config(config: &Config) -> Result<LakeConfig, Failure> {
    let section = &config.lake;
    let mut storage_options = HashMap::new();
    for (key, secret) in &section.options {
        let value = secret
            .read()
            .map_err(|problem| Failure::usage(format!("lake.options.{key}: {problem}")))?;
        storage_options.insert(key.clone(), value);
    }
    let payload = match &section.payload_key {
        None => PayloadPolicy::LeaveOut,
        Some(secret) => {
            let digits = secret
                .read()
                .map_err(|problem| Failure::usage(format!("lake.payload_key: {problem}")))?;
            PayloadPolicy::Encrypt(PayloadKey::from_hex(&digits).map_err(Failure::usage)?)
        }
    };
    let root = config.lake_url().map_err(Failure::usage)?;
    Ok(LakeConfig {
        root,
        storage_options,
        durable: section.durable,
        payload,
        keys: Arc::default(),
    })
}
