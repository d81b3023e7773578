use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use serde_json::json;
use slipway_models::functions::Runtime;

use crate::arguments::Init;
use crate::commands::is_function_name;
use crate::failure::Failure;
use crate::output::Output;

const PYTHON: &[(&str, &str)] = &[
    ("main.py", include_str!("../../templates/python/main.py")),
    ("slipway.toml", include_str!("../../templates/python/slipway.toml")),
    ("README.md", include_str!("../../templates/python/README.md")),
];
const NODE: &[(&str, &str)] = &[
    ("index.mjs", include_str!("../../templates/node/index.mjs")),
    ("slipway.toml", include_str!("../../templates/node/slipway.toml")),
    ("README.md", include_str!("../../templates/node/README.md")),
];
const DART: &[(&str, &str)] = &[
    ("main.dart", include_str!("../../templates/dart/main.dart")),
    ("pubspec.yaml", include_str!("../../templates/dart/pubspec.yaml")),
    ("slipway.toml", include_str!("../../templates/dart/slipway.toml")),
    ("README.md", include_str!("../../templates/dart/README.md")),
];
const BINARY: &[(&str, &str)] = &[
    ("main.rs", include_str!("../../templates/binary/main.rs")),
    ("Cargo.toml", include_str!("../../templates/binary/manifest.toml")),
    ("slipway.toml", include_str!("../../templates/binary/slipway.toml")),
    (".slipwayignore", include_str!("../../templates/binary/slipwayignore")),
    ("README.md", include_str!("../../templates/binary/README.md")),
];

pub(crate) fn run(options: &Init, output: &Output) -> Result<(), Failure> {
    let unusable = |path: &Path, fault: &io::Error| Failure::local(format!("{}: {fault}", path.display()));
    fs::create_dir_all(&options.folder).map_err(|fault| unusable(&options.folder, &fault))?;
    let folder = options.folder.canonicalize().map_err(|fault| unusable(&options.folder, &fault))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !is_function_name(&name) {
        return Err(Failure::usage(format!("a function cannot have the folder's name {name:?}"))
            .hint("name the folder with small letters, digits and hyphens, beginning with a letter"));
    }
    let files = match options.runtime {
        Runtime::Python => PYTHON,
        Runtime::Node => NODE,
        Runtime::Binary => BINARY,
        Runtime::Dart => DART,
    };
    if let Some((taken, _)) = files.iter().find(|(file, _)| folder.join(file).symlink_metadata().is_ok()) {
        return Err(Failure::usage(format!("{} exists already", folder.join(taken).display()))
            .hint("name another folder; nothing was written"));
    }
    // Names of Dart packages have no hyphens.
    let package = name.replace('-', "_");
    for (file, template) in files {
        let path = folder.join(file);
        let content = template.replace("{{name}}", &name).replace("{{package}}", &package);
        write_new(&path, &content).map_err(|fault| unusable(&path, &fault))?;
    }
    let shown = options.folder.display();
    let value = json!({
        "name": name, "folder": folder, "runtime": options.runtime, "files": files.iter().map(|(file, _)| file).collect::<Vec<_>>(),
    });
    let next = match options.runtime {
        // Its program has to be built first.
        Runtime::Binary => format!("see {}", folder.join("README.md").display()),
        Runtime::Python | Runtime::Node | Runtime::Dart => format!("slipway deploy {shown}"),
    };
    let text = format!("made a {} function in {shown}; next:\n  {next}", options.runtime);
    output.result(&value, &text)
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, content: &str) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|fault| match fault.kind() {
        ErrorKind::AlreadyExists => io::Error::other("exists already"),
        _ => fault,
    })
}
