use std::fs;

use super::Home;

#[test]
fn a_new_function_has_a_handler_a_manifest_and_the_next_command() {
    for (runtime, handler) in [("python", "main.py"), ("node", "index.mjs"), ("dart", "main.dart")] {
        let home = Home::new();
        let made = home.run(["init", runtime, "hello"]);

        assert_eq!(made.status(), 0, "{}", made.stderr());
        assert!(made.stdout().contains("slipway deploy hello"), "{}", made.stdout());
        assert!(
            fs::read_to_string(home.path("hello").join(handler))
                .unwrap()
                .replace("CloudRequest ", "")
                .replace("CloudContext ", "")
                .contains("handle(request, context)")
        );
        let manifest = fs::read_to_string(home.path("hello/slipway.toml")).unwrap();
        assert!(manifest.contains(&format!("runtime = \"{runtime}\"\nentry = \"{handler}\"")), "{manifest}");
        let readme = fs::read_to_string(home.path("hello/README.md")).unwrap();
        assert!(readme.contains("slipway invoke hello --data"), "{readme}");
    }
}

#[test]
fn a_new_program_has_its_source_and_says_how_it_is_built() {
    let home = Home::new();
    let made = home.run(["init", "binary", "hello"]);
    assert_eq!(made.status(), 0, "{}", made.stderr());
    assert!(made.stdout().contains("next:\n  see ") && made.stdout().contains("hello/README.md"));
    let read = |name: &str| fs::read_to_string(home.path("hello").join(name)).unwrap();
    assert!(read("Cargo.toml").contains("name = \"hello\"") && read("main.rs").contains("lambda_http"));
    assert!(read("slipway.toml").contains("runtime = \"binary\"\nentry = \"bootstrap\""));
    assert!(read(".slipwayignore").contains("target\n"));
    assert!(read("README.md").contains("cargo build --release"));
}

#[test]
fn a_new_dart_function_is_a_package_whose_name_is_dart_s() {
    let home = Home::new();
    let made = home.run(["init", "dart", "say-hello"]);
    assert_eq!(made.status(), 0, "{}", made.stderr());
    let pubspec = fs::read_to_string(home.path("say-hello/pubspec.yaml")).unwrap();
    assert!(pubspec.starts_with("name: say_hello\n"), "{pubspec}");
}

#[test]
fn scripts_are_told_what_was_made() {
    let home = Home::new();
    let made = home.run(["--json", "init", "node", "hello"]).json();
    assert_eq!((&made["name"], &made["runtime"]), (&"hello".into(), &"node".into()));
    assert_eq!(made["files"], serde_json::json!(["index.mjs", "slipway.toml", "README.md"]));
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written() {
    let home = Home::new();
    fs::create_dir(home.path("hello")).unwrap();
    fs::write(home.path("hello/README.md"), "mine").unwrap();

    let refused = home.run(["init", "python", "hello"]);

    assert_eq!(refused.status(), 2);
    assert!(refused.stderr().contains("hello/README.md exists already"), "{}", refused.stderr());
    assert_eq!(fs::read_to_string(home.path("hello/README.md")).unwrap(), "mine");
    assert_eq!(fs::read_dir(home.path("hello")).unwrap().count(), 1);
}

#[test]
fn a_link_in_the_way_is_not_followed() {
    let home = Home::new();
    fs::create_dir(home.path("hello")).unwrap();
    std::os::unix::fs::symlink(home.path("elsewhere"), home.path("hello/main.py")).unwrap();
    assert_eq!(home.run(["init", "python", "hello"]).status(), 2);
    assert!(!home.path("elsewhere").exists());
}

#[test]
fn a_folder_whose_name_is_no_functions_is_refused() {
    for name in ["Hello", "2fast", "a_b"] {
        let home = Home::new();
        let refused = home.run(["init", "python", name]);
        assert_eq!(refused.status(), 2);
        assert!(
            refused.stderr().contains("hint: name the folder with small letters"),
            "{}",
            refused.stderr()
        );
    }
}

#[test]
fn an_unknown_runtime_is_refused_with_those_that_are_known() {
    let refused = Home::new().run(["init", "cobol"]);
    assert_eq!(refused.status(), 2);
    assert!(
        refused.stderr().contains("[possible values: python, node, binary, dart]"),
        "{}",
        refused.stderr()
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let home = Home::new();
    fs::write(home.path("file"), "").unwrap();
    let refused = home.run(["init", "python", "file/hello"]);
    assert_eq!(refused.status(), 7);
    assert!(refused.stderr().contains("file/hello: Not a directory"), "{}", refused.stderr());
}
