//! Where packages come from and where they are kept: a registry's index, downloads, trust, and the store of installed
//! packages.
//!
//! The road of a package: [`Registry`] reads an index and downloads what an [`IndexEntry`] offers;
//! [`PackageStore::plan`] compares that with what is installed and says, as a [`Plan`], what the user must decide;
//! [`PackageStore::install`] carries the plan out. What was installed stays there, whole, until the new version is.
//!
//! ```
//! use openhuman_skills::SkillPackage;
//! use openhuman_skills::registry::{Decision, Offer, PackageStore};
//! # let home = tempfile::tempdir().unwrap();
//! # let dir = home.path();
//! let store = PackageStore::open(dir)?;
//! let package = SkillPackage::from_parts(r#"{"id":"greeter","name":"Greeter"}"#, "globalThis.tools = []".into())?;
//!
//! let plan = store.plan(package, &Offer::default())?;
//! assert!(matches!(plan.decision(), Decision::AskUnsigned { .. })); // nobody signed it: show that, then
//! store.install(plan.approve(), 0)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod discover;
mod fetch;
#[cfg(feature = "runtime")]
mod http;
mod index;
mod lockfile;
mod store;
mod sync;
mod trust;
mod version;

pub use self::discover::{Discovered, Found, SkillDirs, discover};
pub use self::fetch::{FetchError, Fetched, RegistryFetch};
#[cfg(feature = "runtime")]
pub use self::http::HttpFetch;
pub use self::index::{Available, Category, Index, IndexEntry, IndexError};
pub use self::lockfile::{Installed, Lockfile, LockfileError};
pub use self::store::{PackageStore, Plan, Staged, StoreError, Tampering};
pub use self::sync::{DEFAULT_REGISTRY, Listing, Registry, RegistryError, Source};
pub use self::trust::{Decision, Offer, Refusal, Trust, decide};
pub use self::version::{VersionChange, update_available};
