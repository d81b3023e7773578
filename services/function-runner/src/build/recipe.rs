//! What is done to make an image of a project.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use slipway_models::functions::Runtime;

use super::source::Selection;
use crate::dart::DartPackage;
use crate::project::{Dependencies, Project};

/// How the dependencies of a project are installed, or it is compiled with them, in a container of the runtime's build
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    /// A command of the shell, which runs where the project's files are.
    pub(super) command: String,
    /// The directory that it fills: all that is kept.
    pub(super) output: &'static str,
    /// What it is given.
    pub(super) inputs: Selection,
}

const PIP_INSTALL: &str =
    "mkdir -p .deps && python3 -m pip install --no-warn-script-location --target .deps -r requirements.txt";
const NPM_CI: &str = "mkdir -p node_modules && npm ci --omit=dev";
const NPM_INSTALL: &str = "mkdir -p node_modules && npm install --omit=dev";

/// Where the program lies that is compiled of a Dart package; deploy/runtimes/dart has the same.
const COMPILED: &str = ".slipway";

/// What pip reads of a project whose requirements are names and versions.
const PYTHON_MANIFESTS: &[&str] = &["requirements.txt"];
/// What npm reads of a project whose dependencies are names and versions.
const NODE_MANIFESTS: &[&str] = &["package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"];

impl Installation {
    /// Returns what a project needs; `None` where it needs nothing. Blocking.
    ///
    /// Where nothing but the manifests decides what is installed, only they are given, so that a change of the code
    /// does not install anew. Being wrong here costs time or fails in front of its owner, no more.
    pub(super) fn of(project: &Project, root: &Path) -> Option<Self> {
        if let Some(package) = &project.dart {
            return Some(Self { command: compile(package), output: COMPILED, inputs: Selection::All });
        }
        let (command, output, manifests, is_by_manifest) = match (project.runtime, project.dependencies) {
            (Runtime::Binary | Runtime::Dart, _) | (_, Dependencies::None) => return None,
            (Runtime::Python, _) => (PIP_INSTALL, ".deps", PYTHON_MANIFESTS, lists_only_names(root)),
            (Runtime::Node, Dependencies::Locked) => {
                (NPM_CI, "node_modules", NODE_MANIFESTS, depends_on_names_only(root))
            }
            (Runtime::Node, Dependencies::Listed) => {
                (NPM_INSTALL, "node_modules", NODE_MANIFESTS, depends_on_names_only(root))
            }
        };
        let inputs = if is_by_manifest { Selection::Only(manifests) } else { Selection::All };
        Some(Self { command: command.to_owned(), output, inputs })
    }
}

/// Returns the command that compiles a Dart package. Nothing in its parts is the shell's but a class's dollar signs.
fn compile(package: &DartPackage) -> String {
    let DartPackage { name, import, class } = package;
    let class = class.as_deref().unwrap_or_default();
    format!("/opt/slipway/compile {name} {import} '{class}'")
}

/// Writes the Containerfile of an image that is `base` and the files in the context's `app`. They belong to root, and
/// the handler runs as another user. `label` comes first, because Podman's cache of steps goes by it.
pub(super) fn containerfile(base: &str, label: &str) -> String {
    format!("FROM {base}\n{label}\nCOPY --chown=0:0 app/ /app/\n")
}

/// Tells requirements that are names and versions from those that lead to files of the project.
fn lists_only_names(root: &Path) -> bool {
    let is_name = |line: &str| {
        let line = line.trim();
        let is_option = line.starts_with('-') && !line.starts_with("--hash=");
        let is_file =
            [".whl", ".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz"].iter().any(|end| line.contains(end));
        !is_option && !is_file && !line.contains(['/', '@', '$']) && !line.starts_with('.')
    };
    let uncommented = |line: &str| line.split(" #").next().is_none_or(is_name);
    let read = read_plain(root, "requirements.txt");
    read.is_some_and(|text| text.lines().all(|line| line.trim().starts_with('#') || uncommented(line)))
}

/// Tells dependencies that are names and versions from those that lead to files of the project, and a project that
/// runs nothing when it is installed from one that does.
fn depends_on_names_only(root: &Path) -> bool {
    let is_locked_to_files = |name: &str| {
        let is_there = root.join(name).symlink_metadata().is_ok();
        is_there
            && read_plain(root, name).is_none_or(|lock| {
                lock.contains("\"file:") || lock.contains("\"link\"") || lock.contains("\"git")
            })
    };
    let Some(text) = read_plain(root, "package.json") else { return false };
    let Ok(package) = serde_json::from_str::<Map<String, Value>>(&text) else { return false };
    let lists = package.iter().filter(|(name, _)| name.to_lowercase().contains("dependencies"));
    let are_versions = |list: &Value| {
        let list = list.as_object().map(|list| list.values().map(Value::as_str));
        list.is_some_and(|mut list| {
            list.all(|item| item.is_some_and(|item| !item.contains(['/', ':', '\\'])))
        })
    };
    let is_run = |name: &String| ["install", "prepare", "prepublish"].iter().any(|part| name.contains(part));
    let runs_nothing = package
        .get("scripts")
        .is_none_or(|scripts| scripts.as_object().is_some_and(|scripts| !scripts.keys().any(is_run)));
    lists.map(|(_, list)| list).all(are_versions)
        && runs_nothing
        && !package.contains_key("workspaces")
        && !package.contains_key("overrides")
        && !root.join("binding.gyp").exists()
        && !NODE_MANIFESTS.iter().skip(1).any(|name| is_locked_to_files(name))
}

/// Reads a small file of the root that is no link.
fn read_plain(root: &Path, name: &str) -> Option<String> {
    let path = root.join(name);
    path.symlink_metadata().ok()?.is_file().then(|| fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use slipway_models::functions::FunctionConfigPatch;

    use super::*;

    fn installation(
        runtime: Runtime,
        dependencies: Dependencies,
        files: &[(&str, &str)],
    ) -> Option<Installation> {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(root.path().join(name), content).unwrap();
        }
        let config = FunctionConfigPatch::default();
        let project = Project { runtime, entry: None, config, dependencies, dart: None };
        Installation::of(&project, root.path())
    }

    #[test]
    fn what_needs_nothing_installs_nothing() {
        assert_eq!(installation(Runtime::Node, Dependencies::None, &[("package.json", "{}")]), None);
        assert_eq!(
            containerfile("localhost/slipway/node", "LABEL a=b"),
            "FROM localhost/slipway/node\nLABEL a=b\nCOPY --chown=0:0 app/ /app/\n"
        );
    }

    #[test]
    fn a_dart_package_is_compiled_with_all_its_files_and_no_name_is_the_shell_s() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lib")).unwrap();
        fs::write(root.path().join("pubspec.yaml"), "name: hello").unwrap();
        fs::write(root.path().join("slipway.toml"), "entry = \"lib/a'; $(id).dart\"").unwrap();
        fs::write(root.path().join("lib/a'; $(id).dart"), "@cloudFunction class A$B {}").unwrap();
        let project = Project::detect(root.path()).unwrap();
        let installation = Installation::of(&project, root.path()).unwrap();
        assert_eq!(
            installation.command,
            "/opt/slipway/compile hello package:hello/a%27%3B%20%24%28id%29.dart 'A$B'"
        );
        assert_eq!((installation.output, installation.inputs), (".slipway", Selection::All));
    }

    #[test]
    fn a_lock_decides_how_npm_installs() {
        let command = |dependencies| installation(Runtime::Node, dependencies, &[]).unwrap().command;
        assert!(command(Dependencies::Locked).ends_with("npm ci --omit=dev"));
        assert!(command(Dependencies::Listed).ends_with("npm install --omit=dev"));
    }

    #[test]
    fn requirements_that_lead_to_files_get_the_files() {
        let inputs = |text: &str| {
            installation(Runtime::Python, Dependencies::Listed, &[("requirements.txt", text)]).unwrap().inputs
        };
        for plain in [
            "markdown==3.5\n",
            "# comment about ./x\nrequests[socks]>=2,<3 ; python_version > '3.8'  # see a/b\n\nsix",
            "six==1.16.0 \\\n    --hash=sha256:abc",
        ] {
            assert_eq!(inputs(plain), Selection::Only(PYTHON_MANIFESTS), "{plain}");
        }
        for leading in [
            "./tiny-1.0.whl",
            "tiny-1.0.whl",
            "tiny-1.0.tar.gz",
            "-r more.txt",
            "-e .",
            ".",
            "tiny @ file:///app/tiny",
            "--index-url https://a.example",
            "lib/tiny",
            "-cconstraints.txt",
            "${HOME}",
            "six\n  ../x",
        ] {
            assert_eq!(inputs(leading), Selection::All, "{leading}");
        }
    }

    #[test]
    fn packages_that_lead_to_files_or_run_something_get_the_files() {
        let inputs =
            |files: &[(&str, &str)]| installation(Runtime::Node, Dependencies::Listed, files).unwrap().inputs;
        let plain = r#"{"type":"module","scripts":{"test":"x"},"dependencies":{"a":"^1.0.0","b":"~2"}}"#;
        assert_eq!(inputs(&[("package.json", plain)]), Selection::Only(NODE_MANIFESTS));
        for leading in [
            r#"{"dependencies":{"a":"file:./a"}}"#,
            r#"{"dependencies":{"a":"../a"}}"#,
            r#"{"dependencies":{"a":"~/a"}}"#,
            r#"{"dependencies":{"a":"someone/a"}}"#,
            r#"{"optionalDependencies":{"a":"git+https://a.example/a"}}"#,
            r#"{"dependencies":{"a":"1"},"scripts":{"postinstall":"node x.js"}}"#,
            r#"{"dependencies":{"a":"1"},"workspaces":["a"]}"#,
            r#"{"dependencies":["a"]}"#,
            "{",
        ] {
            assert_eq!(inputs(&[("package.json", leading)]), Selection::All, "{leading}");
        }
        for (name, content) in [
            ("binding.gyp", "{}"),
            ("package-lock.json", r#"{"packages":{"a":{"resolved":"a","link":true}}}"#),
        ] {
            assert_eq!(inputs(&[("package.json", plain), (name, content)]), Selection::All, "{name}");
        }
    }
}
