use std::fs;

use proptest::prelude::*;

use super::*;

fn found(files: &[(&str, &str)], entry: Option<&str>) -> Result<DartPackage, String> {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    DartPackage::find(root.path(), entry).unwrap().map_err(|fault| fault.to_string())
}

fn handler_of(code: &str) -> Result<Option<String>, String> {
    handler("main.dart", code).map_err(|fault| fault.to_string())
}

#[test]
fn a_marked_class_or_a_function_handle_is_the_handler() {
    for (code, class) in [
        ("@cloudFunction\nclass Echo extends CloudDartFunction {}", Some("Echo")),
        ("@CloudFunction()\nfinal class Echo extends CloudDartFunction {}", Some("Echo")),
        (
            "@cloud.cloudFunction @Deprecated('x;y') class Echo extends cloud.CloudDartFunction {}",
            Some("Echo"),
        ),
        (
            "class A {}\n/// It.\n@cloudFunction class Echo$2 extends A { handle() {} }\nclass B {}",
            Some("Echo$2"),
        ),
        ("Future<CloudResponse> handle(CloudRequest r, CloudContext c) async => handle2(r);", None),
        ("handle(r, c) => 1;", None),
        ("int? handle(r, c) { return 1; }", None),
        ("(int, int) handle(r, c) => (1, 2);", None),
        ("import 'a.dart';\nclass A { String s() => '}'; }\nObject handle(r, c) => 1;", None),
        ("@cloudFunction class Echo {}\nhandle(r, c) => 1;", Some("Echo")),
    ] {
        assert_eq!(handler_of(code), Ok(class.map(str::to_owned)), "{code}");
    }
}

#[test]
fn what_is_commented_quoted_or_used_is_no_handler() {
    for code in [
        "",
        "// @cloudFunction\nclass Echo {}",
        "/* @cloudFunction /* nested */ class Echo {} handle(r, c) => 1; */",
        "const s = '@cloudFunction class Echo {}';",
        "const s = r'\\';\nconst t = \"handle(r, c) => 1;\";",
        "const s = '''\n@cloudFunction\nclass Echo {}\n''';",
        "const s = \"a ${b('${c} @cloudFunction class D {}')} handle(1)\";",
        "final s = '\\' @cloudFunction class Echo {}';",
        "class A { handle(r, c) => 1; }",
        "final a = handle(1);",
        "f() => handle(1);",
        "f() { handle(1); }",
        "@cloudFunction\nf() {}\nclass Echo {}",
        "@cloudFunction\nfinal a = 1;\nclass Echo {}",
    ] {
        let fault = handler_of(code).unwrap_err();
        assert!(
            fault.starts_with("main.dart: there is neither a class with @cloudFunction"),
            "{code}: {fault}"
        );
    }
}

#[test]
fn a_handler_that_cannot_be_called_is_told() {
    assert_eq!(
        handler_of("@cloudFunction class A {}\n@cloudFunction class B {}").unwrap_err(),
        "main.dart: A and B both have @cloudFunction before them, and a function has one such class"
    );
    assert_eq!(
        handler_of("@cloudFunction class _A {}").unwrap_err(),
        "main.dart: the class _A is private: take the underscore from its name"
    );
}

#[test]
fn the_file_of_the_handler_is_found_or_named() {
    let (pubspec, code) = (("pubspec.yaml", "name: hello\n"), "handle(r, c) => 1;");
    let import = |files: &[(&str, &str)], entry| found(files, entry).map(|package| package.import);
    assert_eq!(import(&[pubspec, ("main.dart", code)], None), Ok("main.dart".to_owned()));
    assert_eq!(import(&[pubspec, ("bin/main.dart", code)], None), Ok("bin/main.dart".to_owned()));
    let files = [pubspec, ("lib/main.dart", code), ("lib/a/é'$.dart", code)];
    assert_eq!(import(&files, None), Ok("package:hello/main.dart".to_owned()));
    assert_eq!(import(&files, Some("lib/a/é'$.dart")), Ok("package:hello/a/%C3%A9%27%24.dart".to_owned()));
    let fault = import(&[pubspec], None).unwrap_err();
    assert!(fault.starts_with("there is no main.dart, bin/main.dart or lib/main.dart"), "{fault}");
    assert_eq!(
        import(&[pubspec, ("main.dart/a", "")], Some("main.dart")),
        Err("main.dart: it is no file".to_owned())
    );
}

#[test]
fn the_package_has_a_name_that_dart_takes() {
    for (manifest, name) in [
        ("name: hello", "hello"),
        ("# mine\nversion: 1.0.0\nname:  'hello_2'  # it\n", "hello_2"),
        ("name: \"hello\"\r\n", "hello"),
    ] {
        assert_eq!(package_name(manifest), Some(name), "{manifest}");
    }
    for manifest in [
        "",
        "name:",
        "  name: hello",
        "name: a-b",
        "name: 2fast",
        "name: $(id)",
        "name: 'a",
        "name: ../a",
        "names: a",
    ] {
        assert_eq!(package_name(manifest), None, "{manifest}");
    }
    let fault = found(&[("pubspec.yaml", "name: a b"), ("main.dart", "")], None).unwrap_err();
    assert!(fault.starts_with("pubspec.yaml: it needs a line such as name: my_function"), "{fault}");
    let fault = found(&[("pubspec.yaml", "name: dart_cloud_logger"), ("main.dart", "")], None).unwrap_err();
    assert!(fault.starts_with("pubspec.yaml: a function cannot have the name dart_cloud_logger"), "{fault}");
}

#[test]
fn code_that_nests_without_end_is_read_in_bounded_time() {
    for part in ["'${", "/*", "{", "((", "'''${\"", "@", "r'", "r'''", "\\", "class "] {
        let code = part.repeat(1024 * 1024 / part.len());
        assert!(handler_of(&code).is_err(), "{part}");
    }
}

proptest! {
    #[test]
    fn no_code_makes_the_reader_panic(code in "(\\PC|['\"{}$/*r@=>\\\\\n]){0,60}") {
        let _ = handler_of(&code);
    }
}
