use std::path::{Path, PathBuf};
use std::time::Duration;

use slipway_audit::AuditConfig;
use slipway_config::Reader;
use slipway_db::DatabaseConfig;
use slipway_runtime::{InstanceLimits, PodmanServiceConfig};
use slipway_web::ServerConfig;

use crate::archive;
use crate::build::{BuildSettings, CacheLimits, InstallSettings, ParentProxies, Registries};
use crate::instances::{EgressSettings, InstancesConfig};
use crate::records::{RecordsConfig, Retention};
use crate::service::{AsyncConfig, CollectionSettings, DeploymentLimits, VersionLimits};

const MIB: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_hours(24);

/// The settings of function-runner.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub server: ServerConfig,
    /// Its database.
    pub database: DatabaseConfig,
    /// Where the key files are.
    pub keys_dir: PathBuf,
    /// What it keeps across restarts: uploads, unpacked archives, the files of small versions, the spool.
    pub state_dir: PathBuf,
    /// The Podman service.
    pub podman: PodmanServiceConfig,
    /// Whether it starts and watches the Podman service itself.
    pub is_podman_managed: bool,
    /// How instances are kept.
    pub instances: InstancesConfig,
    /// What instances with a network may reach.
    pub egress: EgressSettings,
    /// How runs are recorded.
    pub records: RecordsConfig,
    /// How much of them is kept.
    pub retention: Retention,
    /// How many images are built at a time.
    pub builds_at_a_time: usize,
    /// The most bytes of an archive, packed.
    pub archive_bytes: u64,
    pub(crate) async_runs: AsyncConfig,
    pub(crate) audit: AuditConfig,
    pub(crate) build: BuildSettings,
    pub(crate) collection: CollectionSettings,
    pub(crate) deployments: DeploymentLimits,
}

impl Config {
    /// Reads the settings; see README.md for the list.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let state_dir = directory(reader, "STATE_DIR");
        let run_dir = directory(reader, "RUN_DIR");
        Self {
            // FUNCTIONS_HOST is the public name of functions, which the gateway reads.
            server: ServerConfig::read_with(reader, "FUNCTIONS", "FUNCTIONS_LISTEN_HOST", 8103, 9103),
            database: DatabaseConfig::read(reader, "FUNCTIONS"),
            keys_dir: reader.required("KEYS_DIR").into(),
            podman: read_podman(reader, &run_dir),
            is_podman_managed: reader.or("PODMAN_MANAGED", false),
            instances: InstancesConfig::read(reader, &run_dir, &state_dir),
            egress: EgressSettings::read(reader),
            records: RecordsConfig::read(reader, &state_dir),
            retention: Retention::read(reader),
            async_runs: AsyncConfig::read(reader),
            audit: AuditConfig::read(reader),
            build: read_build(reader, &state_dir, &run_dir),
            collection: read_collection(reader),
            builds_at_a_time: reader.within("BUILDS_AT_A_TIME", 2, 1..=64),
            archive_bytes: MIB * reader.within("ARCHIVE_MAX_MB", 50, 1..=1_024),
            deployments: read_deployments(reader),
            state_dir,
        }
    }
}

/// Paths go to Podman and into mounts, so they have to be absolute.
fn directory(reader: &mut Reader<'_>, name: &str) -> PathBuf {
    let path = PathBuf::from(reader.required(name));
    if !path.as_os_str().is_empty() && !path.is_absolute() {
        reader.refuse(name, "must be an absolute path");
    }
    path
}

fn read_podman(reader: &mut Reader<'_>, run_dir: &Path) -> PodmanServiceConfig {
    PodmanServiceConfig {
        socket: reader.or("PODMAN_SOCKET", run_dir.join("podman.sock").display().to_string()).into(),
        containers_conf: reader.optional::<String>("CONTAINERS_CONF").map(PathBuf::from),
        storage_conf: reader.optional::<String>("CONTAINERS_STORAGE_CONF").map(PathBuf::from),
    }
}

fn read_build(reader: &mut Reader<'_>, state_dir: &Path, run_dir: &Path) -> BuildSettings {
    BuildSettings {
        prefix: reader.or("RUNTIME_IMAGE_PREFIX", "localhost/slipway/".to_owned()),
        install: read_install(reader, run_dir),
        cache: CacheLimits {
            per_owner: reader.within("DEPENDENCY_CACHE_PER_OWNER", 10, 1..=1_000),
            unused: DAY * reader.within("DEPENDENCY_CACHE_DAYS", 7, 1..=365),
        },
        cache_directory: state_dir.join("dependencies"),
        bundles_bytes: MIB * reader.within("BUNDLES_MB", 1_024, 0..=1_048_576),
        timeout: Duration::from_secs(reader.within("BUILD_TIMEOUT_SECONDS", 600, 1..=86_400)),
        owns_storage: reader.or("PODMAN_MANAGED", false),
    }
}

fn read_install(reader: &mut Reader<'_>, run_dir: &Path) -> InstallSettings {
    InstallSettings {
        directory: run_dir.join("b"),
        limits: InstanceLimits {
            memory: MIB * reader.within("BUILD_MEMORY_MB", 2_048, 64..=262_144),
            cpu_millis: reader.within("BUILD_CPU_MILLIS", 2_000, 100..=256_000),
            processes: reader.within("BUILD_PROCESSES", 1_024, 16..=1_000_000),
            open_files: reader.within("BUILD_OPEN_FILES", 8_192, 64..=1_048_576),
            tmp: MIB * reader.within("BUILD_FILES_MB", 1_024, 16..=262_144),
        },
        output_bytes: MIB * reader.within("BUILD_OUTPUT_MB", 512, 1..=65_536),
        registries: reader.or("BUILD_REGISTRIES", Registries::default()),
        parents: ParentProxies::read(reader),
        transfer_bytes: MIB * reader.within("BUILD_TRANSFER_MB", 2_048, 1..=1_048_576),
        connections: reader.within("BUILD_CONNECTIONS", 64, 1..=1_024),
    }
}

fn read_collection(reader: &mut Reader<'_>) -> CollectionSettings {
    CollectionSettings {
        versions: VersionLimits {
            kept: reader.within("VERSIONS_KEPT", 10, 1..=10_000),
            young: DAY * reader.within("VERSIONS_KEPT_DAYS", 7, 0..=3_650),
        },
        every: Duration::from_secs(reader.within("IMAGE_SWEEP_SECONDS", 3_600, 1..=86_400)),
    }
}

fn read_deployments(reader: &mut Reader<'_>) -> DeploymentLimits {
    DeploymentLimits {
        archive: archive::Limits {
            files: reader.within("ARCHIVE_MAX_FILES", 10_000, 1..=1_000_000),
            unpacked_bytes: MIB * reader.within("ARCHIVE_MAX_UNPACKED_MB", 250, 1..=65_536),
            ratio: reader.within("ARCHIVE_MAX_RATIO", 100, 1..=100_000),
        },
        per_owner: reader.within("DEPLOYMENTS_PER_OWNER", 10, 1..=1_000),
        in_all: reader.within("DEPLOYMENTS_IN_ALL", 100, 1..=100_000),
    }
}

#[cfg(test)]
mod tests {
    use slipway_config::Settings;

    use super::*;

    const REQUIRED: [(&str, &str); 4] = [
        ("FUNCTIONS_DATABASE_URL", "postgres://"),
        ("KEYS_DIR", "/k"),
        ("STATE_DIR", "/s"),
        ("RUN_DIR", "/r"),
    ];

    #[test]
    fn four_settings_are_required_and_the_rest_has_defaults() {
        let settings = Settings::from_pairs(REQUIRED);
        let mut reader = Reader::new(&settings);
        let config = Config::read(&mut reader);
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(config.podman.socket, Path::new("/r/podman.sock"));
        assert_eq!(
            (config.archive_bytes, config.deployments.archive),
            (50 * MIB, archive::Limits::default())
        );

        let mut reader = Reader::new(&settings);
        let none = Settings::default();
        let mut empty = Reader::new(&none);
        Config::read(&mut empty);
        Config::read(&mut reader);
        let faults = empty.finish().unwrap_err().to_string();
        for (name, _) in REQUIRED {
            assert!(faults.contains(&format!("{name} is not set")), "{name}: {faults}");
        }
    }

    #[test]
    fn a_relative_directory_is_refused() {
        let settings = Settings::from_pairs([REQUIRED[0], REQUIRED[1], ("STATE_DIR", "state"), REQUIRED[3]]);
        let mut reader = Reader::new(&settings);
        Config::read(&mut reader);
        assert_eq!(reader.finish().unwrap_err().to_string(), "STATE_DIR must be an absolute path");
    }
}
