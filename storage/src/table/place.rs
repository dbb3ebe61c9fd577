//! Where a table lies: its folder as an object store, its Delta log, and the tenant's folder beside it.
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::durable::{DurableFileSystem, create_folder};
use crate::config::{Config, Location};
use crate::error::{Error, Result};

/// The folder of the table below the tenant's.
const TABLE_FOLDER: &str = "spans";

/// The stores of one tenant's table.
#[derive(Clone)]
pub(crate) struct Place {
    /// Rooted at the table's folder.
    pub(crate) table: Arc<dyn ObjectStore>,
    /// Rooted at the tenant's folder, which holds the table's and the receipts.
    pub(crate) tenant: Arc<dyn ObjectStore>,
    pub(crate) log: LogStoreRef,
    /// The table's folder, where it is one of this machine.
    pub(crate) folder: Option<Arc<FilePath>>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Place {
    /// The place that `config` names. Creates a local folder; touches nothing remote.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        match &config.location {
            Location::Folder(folder) => Self::folder(folder, &config.tenant),
            Location::ObjectStore { url, options } => Self::remote(url, options, &config.tenant),
        }
    }

    fn folder(folder: &FilePath, tenant: &str) -> Result<Self> {
        let tenant = folder.join(tenant);
        let failed = |source| Error::File { step: "create folder", path: tenant.clone(), source };
        create_folder(&tenant).map_err(failed)?;
        let tenant = tenant.canonicalize().map_err(failed)?;
        let invalid = || Error::Invalid(format!("{} is not a usable folder", tenant.display()));
        let prefix = Path::from_absolute_path(&tenant).map_err(|_| invalid())?;
        let url = Url::from_directory_path(&tenant).map_err(|()| invalid())?;
        let place = Self::at(Arc::new(DurableFileSystem::new()), &prefix, &url)?;
        Ok(Self { folder: Some(tenant.join(TABLE_FOLDER).into()), ..place })
    }

    fn remote(url: &str, options: &[(String, String)], tenant: &str) -> Result<Self> {
        let invalid = |detail: &dyn std::fmt::Display| Error::Invalid(format!("{url}: {detail}"));
        let mut parsed = Url::parse(url).map_err(|error| invalid(&error))?;
        let (scheme, path) = ObjectStoreScheme::parse(&parsed).map_err(|error| invalid(&error))?;
        let root = build(&scheme, url, options).map_err(|error| invalid(&error))?;
        let prefix = path.join(tenant);
        let folder = format!("{}/{tenant}/", parsed.path().trim_end_matches('/'));
        parsed.set_path(&folder);
        Self::at(root, &prefix, &parsed)
    }

    /// The table below `prefix` of `root`, where `url` names the same folder.
    pub(crate) fn at(root: Arc<dyn ObjectStore>, prefix: &Path, url: &Url) -> Result<Self> {
        let below = format!("{TABLE_FOLDER}/");
        let url = url.join(&below).map_err(|error| Error::Invalid(error.to_string()))?;
        let tenant = Arc::new(PrefixStore::new(Arc::clone(&root), prefix.clone()));
        let table: Arc<dyn ObjectStore> =
            Arc::new(PrefixStore::new(Arc::clone(&root), prefix.clone().join(TABLE_FOLDER)));
        let log = default_logstore(Arc::clone(&table), root, &url, &StorageConfig::default());
        Ok(Self { table, tenant, log, folder: None })
    }
}

/// Credentials and endpoint from `options`, by `object_store`'s names. Names of another cloud are passed over.
fn build(
    scheme: &ObjectStoreScheme,
    url: &str,
    options: &[(String, String)],
) -> object_store::Result<Arc<dyn ObjectStore>> {
    match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let mut builder = AmazonS3Builder::new().with_url(url).with_retry(retries());
            for (key, value) in of_cloud(options, "aws_") {
                builder = builder.with_config(key.parse::<AmazonS3ConfigKey>()?, value);
            }
            Ok(Arc::new(builder.build()?))
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let mut builder = GoogleCloudStorageBuilder::new().with_url(url).with_retry(retries());
            for (key, value) in of_cloud(options, "google_") {
                builder = builder.with_config(key.parse::<GoogleConfigKey>()?, value);
            }
            Ok(Arc::new(builder.build()?))
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let mut builder = MicrosoftAzureBuilder::new().with_url(url).with_retry(retries());
            for (key, value) in of_cloud(options, "azure_") {
                builder = builder.with_config(key.parse::<AzureConfigKey>()?, value);
            }
            Ok(Arc::new(builder.build()?))
        }
        _ => Err(object_store::Error::NotSupported {
            source: "expected a folder, s3://, gs:// or az://".into(),
        }),
    }
}

/// How often a request that failed is sent again, and for how long. Who asked then gets an error; a flush, a compaction or a
/// drop is tried again later, and the log keeps what is not in a file.
fn retries() -> RetryConfig {
    RetryConfig { max_retries: 8, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}

/// Options without a cloud's prefix, and those with `prefix`.
fn of_cloud<'a>(
    options: &'a [(String, String)],
    prefix: &'a str,
) -> impl Iterator<Item = &'a (String, String)> {
    options.iter().filter(move |(key, _)| {
        let foreign = ["aws_", "google_", "azure_"].iter().any(|cloud| key.starts_with(cloud));
        !foreign || key.starts_with(prefix)
    })
}
