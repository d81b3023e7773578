//! What an unpacked archive is: its runtime, its entry and the configuration it brings.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;
use slipway_models::functions::{FunctionConfigPatch, Runtime};
use slipway_models::problem::FieldError;

use crate::dart::{self, DartFault, DartPackage};
use crate::domain::config;
use crate::program::{self, ProgramFault};

const MANIFEST: &str = "slipway.toml";
/// The program of the binary runtime.
const PROGRAM: &str = "bootstrap";
const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// An unpacked archive that can be built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Project {
    /// What runs it.
    pub(crate) runtime: Runtime,
    /// The file that holds the handler, where `slipway.toml` names one.
    pub(crate) entry: Option<String>,
    /// What it changes of the function's configuration.
    pub(crate) config: FunctionConfigPatch,
    /// What has to be installed before it runs.
    pub(crate) dependencies: Dependencies,
    /// What is compiled of it, where its runtime is Dart.
    pub(crate) dart: Option<DartPackage>,
}

/// What has to be installed before a project runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dependencies {
    /// Nothing.
    None,
    /// What `requirements.txt` or `package.json` lists.
    Listed,
    /// Exactly what `package-lock.json` or `npm-shrinkwrap.json` pins.
    Locked,
}

/// Says why an unpacked archive cannot be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    /// Nothing in it tells the runtime.
    #[error(
        "no runtime is found: at the archive's root there must be main.py or requirements.txt (python), package.json, \
         index.mjs or index.js (node), bootstrap (binary), pubspec.yaml (dart), or a slipway.toml that names the \
         runtime; the root holds {0}"
    )]
    NoRuntime(String),
    /// Files of two runtimes are there.
    #[error("{0} and {1} both look right: name the runtime in slipway.toml, as in runtime = \"{0}\"")]
    Ambiguous(Runtime, Runtime),
    /// `slipway.toml` cannot be read.
    #[error("slipway.toml: {0}")]
    Manifest(String),
    /// The file that lists the dependencies cannot be read.
    #[error("{name}: {fault}")]
    Dependencies {
        /// The file.
        name: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// The entry is no file of the archive.
    #[error("slipway.toml: the entry {0:?} is no file in the archive")]
    Entry(String),
    /// The program of the binary runtime would not start.
    #[error("{name}: it {fault}")]
    Program {
        /// The file.
        name: String,
        /// What is wrong with it.
        fault: ProgramFault,
    },
    /// It is no function in Dart.
    #[error(transparent)]
    Dart(#[from] DartFault),
    /// The configuration breaks its rules.
    #[error("slipway.toml: its config is at fault")]
    Config(Vec<FieldError>),
    /// A fault of this host.
    #[error("cannot read the unpacked archive: {0}")]
    Host(#[from] std::io::Error),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    runtime: Option<Runtime>,
    entry: Option<String>,
    #[serde(default)]
    config: FunctionConfigPatch,
}

/// The part of `package.json` that says whether anything is to be installed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Value>,
}

impl Project {
    /// Looks at what was unpacked to `root`. Blocking. Links in it lead nowhere but into it.
    pub(crate) fn detect(root: &Path) -> Result<Self, ProjectError> {
        let manifest = read_manifest(root)?;
        config::check(&manifest.config, "/slipway.toml/config").map_err(ProjectError::Config)?;
        if let Some(entry) = &manifest.entry
            && !is_file_within(root, entry)
        {
            return Err(ProjectError::Entry(entry.chars().take(200).collect()));
        }
        let runtime = manifest.runtime.map_or_else(|| detect_runtime(root), Ok)?;
        if runtime == Runtime::Binary {
            let name = manifest.entry.as_deref().unwrap_or(PROGRAM);
            let refused = |fault| ProjectError::Program { name: name.to_owned(), fault };
            program::check(root, name)?.map_err(refused)?;
        }
        let find_dart = || DartPackage::find(root, manifest.entry.as_deref());
        let dart = (runtime == Runtime::Dart).then(find_dart).transpose()?.transpose()?;
        let dependencies = find_dependencies(root, runtime)?;
        Ok(Self { runtime, entry: manifest.entry, config: manifest.config, dependencies, dart })
    }
}

const fn marks(runtime: Runtime) -> &'static [&'static str] {
    match runtime {
        Runtime::Python => &["main.py", "requirements.txt"],
        Runtime::Node => &["package.json", "index.mjs", "index.js"],
        Runtime::Binary => &[PROGRAM],
        Runtime::Dart => &[dart::MANIFEST],
    }
}

fn detect_runtime(root: &Path) -> Result<Runtime, ProjectError> {
    let mut found = Runtime::ALL
        .into_iter()
        .filter(|runtime| marks(*runtime).iter().any(|name| root.join(name).is_file()));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(first), Some(second)) => Err(ProjectError::Ambiguous(first, second)),
        (None, _) => Err(ProjectError::NoRuntime(describe(root)?)),
    }
}

/// Names a few of what lies in a folder, so that a folder packed into itself is seen at once.
fn describe(root: &Path) -> std::io::Result<String> {
    const SHOWN: usize = 5;
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort_unstable();
    let rest = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    Ok(if rest == 0 { names.join(", ") } else { format!("{} and {rest} more", names.join(", ")) })
}

fn read_manifest(root: &Path) -> Result<Manifest, ProjectError> {
    let Some(text) = read_text(root, MANIFEST)?.map_err(ProjectError::Manifest)? else {
        return Ok(Manifest::default());
    };
    toml::from_str(&text).map_err(|fault| {
        let line =
            fault.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        ProjectError::Manifest(format!("{place}{}", fault.message()))
    })
}

fn find_dependencies(root: &Path, runtime: Runtime) -> Result<Dependencies, ProjectError> {
    let name = match runtime {
        Runtime::Python => "requirements.txt",
        Runtime::Node => "package.json",
        Runtime::Binary => return Ok(Dependencies::None),
        // It is always compiled, with what pub finds.
        Runtime::Dart => return Ok(Dependencies::Listed),
    };
    let refused = |fault| ProjectError::Dependencies { name, fault };
    let Some(text) = read_text(root, name)?.map_err(refused)? else { return Ok(Dependencies::None) };
    let any_listed = match runtime {
        Runtime::Python => text.lines().any(|line| !line.trim().is_empty() && !line.trim().starts_with('#')),
        Runtime::Node => {
            // A list would be taken for the fields in their order.
            if !text.trim_start().starts_with('{') {
                return Err(refused("it is no JSON object".to_owned()));
            }
            let package: Package = serde_json::from_str(&text).map_err(|fault| refused(fault.to_string()))?;
            !package.dependencies.is_empty() || !package.optional_dependencies.is_empty()
        }
        Runtime::Binary | Runtime::Dart => false,
    };
    let is_locked =
        || ["package-lock.json", "npm-shrinkwrap.json"].iter().any(|lock| root.join(lock).is_file());
    Ok(match runtime {
        _ if !any_listed => Dependencies::None,
        Runtime::Node if is_locked() => Dependencies::Locked,
        _ => Dependencies::Listed,
    })
}

/// Reads a file of the archive's root; the inner error says what is wrong with the file.
pub(crate) fn read_text(root: &Path, name: &str) -> std::io::Result<Result<Option<String>, String>> {
    let path = root.join(name);
    if !path.exists() {
        return Ok(Ok(None));
    }
    if !path.is_file() {
        return Ok(Err("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Ok(Err(format!("it is larger than {MAX_TEXT_BYTES} bytes")));
    }
    Ok(String::from_utf8(bytes).map(Some).map_err(|_| "it is not UTF-8".to_owned()))
}

fn is_file_within(root: &Path, entry: &str) -> bool {
    let is_plain = Path::new(entry).components().all(|part| matches!(part, Component::Normal(_)));
    is_plain && !entry.is_empty() && !entry.contains('\0') && root.join(entry).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(files: &[(&str, &str)]) -> Result<Project, String> {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Project::detect(root.path()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_runtime_is_found_by_what_lies_there() {
        for (name, runtime) in [
            ("main.py", Runtime::Python),
            ("requirements.txt", Runtime::Python),
            ("index.mjs", Runtime::Node),
            ("index.js", Runtime::Node),
        ] {
            assert_eq!(detected(&[(name, "")]).unwrap().runtime, runtime, "{name}");
        }
    }

    #[test]
    fn a_folder_packed_into_itself_is_seen_in_the_refusal() {
        let fault = detected(&[("hello/main.py", "")]).unwrap_err();
        assert!(fault.ends_with("the root holds hello/"), "{fault}");
    }

    #[test]
    fn two_runtimes_need_a_word_in_the_manifest() {
        let files = [("main.py", ""), ("package.json", "{}")];
        assert_eq!(
            detected(&files).unwrap_err(),
            "python and node both look right: name the runtime in slipway.toml, as in runtime = \"python\""
        );
        let named = [files[0], files[1], ("slipway.toml", "runtime = \"node\"")];
        assert_eq!(detected(&named).unwrap().runtime, Runtime::Node);
    }

    #[test]
    fn only_what_is_listed_has_to_be_installed() {
        let dependencies = |files: &[(&str, &str)]| detected(files).map(|project| project.dependencies);
        let (none, listed, locked) = (Dependencies::None, Dependencies::Listed, Dependencies::Locked);
        assert_eq!(dependencies(&[("main.py", "")]), Ok(none));
        assert_eq!(dependencies(&[("requirements.txt", "# none\n\n")]), Ok(none));
        assert_eq!(dependencies(&[("requirements.txt", "markdown==3.5")]), Ok(listed));
        let package = ("package.json", r#"{"type":"module","dependencies":{"a":"1"}}"#);
        assert_eq!(dependencies(&[package]), Ok(listed));
        assert_eq!(dependencies(&[package, ("package-lock.json", "{}")]), Ok(locked));
        assert_eq!(dependencies(&[("package.json", r#"{"type":"module"}"#)]), Ok(none));
        assert_eq!(
            dependencies(&[("package.json", "{")]),
            Err("package.json: EOF while parsing an object at line 1 column 1".to_owned())
        );
    }

    #[test]
    fn manifests_that_are_no_files_or_no_text_or_too_large_are_refused_by_name() {
        let large = format!("# {}", "x".repeat(1024 * 1024));
        for name in ["slipway.toml", "requirements.txt", "package.json"] {
            let runtime = if name == "package.json" { "index.mjs" } else { "main.py" };
            let inside = format!("{name}/file");
            assert_eq!(
                detected(&[(runtime, ""), (&inside, "")]),
                Err(format!("{name}: it is no file")),
                "a directory of that name"
            );
            assert_eq!(
                detected(&[(runtime, ""), (name, &large)]),
                Err(format!("{name}: it is larger than 1048576 bytes"))
            );
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(runtime), "").unwrap();
            fs::write(root.path().join(name), b"\xff\xfe").unwrap();
            let fault = Project::detect(root.path()).unwrap_err();
            assert_eq!(fault.to_string(), format!("{name}: it is not UTF-8"));
        }
    }

    #[test]
    fn manifests_that_nest_without_end_are_refused_and_not_followed() {
        let deep = 200_000;
        for text in [
            format!("entry = {}", "[".repeat(deep)),
            format!("entry = {}", "{a=".repeat(deep)),
            format!("{}entry = 1", "a.".repeat(deep)),
            format!("[{}a]", "a.".repeat(deep)),
        ] {
            let fault = detected(&[("main.py", ""), ("slipway.toml", &text)]).unwrap_err();
            assert!(fault.starts_with("slipway.toml: ") && fault.len() < 200, "{fault}");
        }
        for text in ["[".repeat(deep), "{\"dependencies\":{\"a\":".repeat(deep / 10)] {
            let fault = detected(&[("index.mjs", ""), ("package.json", &text)]).unwrap_err();
            assert!(fault.starts_with("package.json: "), "{fault}");
        }
    }

    #[test]
    fn dependencies_of_the_wrong_kind_are_refused() {
        for text in [
            r#"{"dependencies":[]}"#,
            r#"{"dependencies":"x"}"#,
            "[]",
            "1",
            r#"{"dependencies":{},"dependencies":{}}"#,
        ] {
            let fault = detected(&[("index.mjs", ""), ("package.json", text)]).unwrap_err();
            assert!(fault.starts_with("package.json: "), "{text}: {fault}");
        }
    }

    #[test]
    fn a_manifest_names_runtime_entry_and_config() {
        let manifest =
            "runtime = \"python\"\nentry = \"src/app.py\"\n[config]\nmemory_mb = 256\nenv = { A = \"1\" }";
        let project = detected(&[("src/app.py", ""), ("slipway.toml", manifest)]).unwrap();
        assert_eq!(project.entry.as_deref(), Some("src/app.py"));
        assert_eq!(project.config.memory_mb, Some(256));
    }

    #[test]
    fn faults_of_the_manifest_are_named_with_their_line() {
        let fault = |text: &str| detected(&[("main.py", ""), ("slipway.toml", text)]).unwrap_err();
        assert!(fault("\nrun_time = 1").starts_with("slipway.toml: line 2: unknown field `run_time`"));
        assert!(fault("[config]\nmemory = 1").starts_with("slipway.toml: line 2: unknown field `memory`"));
        assert!(fault("runtime = \"cobol\"").starts_with("slipway.toml: line 1: unknown variant `cobol`"));
        assert_eq!(fault("[config]\nmemory_mb = 1"), "slipway.toml: its config is at fault");
        for entry in [
            "../main.py",
            "/etc/passwd",
            "./main.py",
            "a/../main.py",
            "main.py/",
            "missing.py",
            "-c",
            "main.py\nRUN id",
            "$(id)",
            "",
        ] {
            assert_eq!(
                fault(&format!("entry = {entry:?}")),
                format!("slipway.toml: the entry {entry:?} is no file in the archive")
            );
        }
    }
}
