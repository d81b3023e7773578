use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::Home;

const SESSION: &str = ".config/slipway/session.json";

/// Writes a sign-in that is fresh for years, to a platform that is not there.
fn sign_in(home: &Home, file: &str, mode: u32) {
    let session = json!({
        "url": "http://127.0.0.1:1",
        "access_token": "a", "access_expires_at": "2100-01-01T00:00:00Z",
        "refresh_token": "r", "refresh_expires_at": "2100-01-01T00:00:00Z",
    });
    write(home, file, &session.to_string(), mode);
}

fn write(home: &Home, file: &str, content: &str, mode: u32) {
    let path = home.path(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn whoever_is_not_signed_in_is_told_how() {
    let home = Home::new();
    for command in [
        &["list"][..],
        &["whoami"],
        &["logs", "x"],
        &["deploy", "--name", "x"],
        &["invoke", "x"],
        &["secrets", "list", "x"],
        &["keys", "list", "x"],
        &["api-keys", "list"],
    ] {
        let finished = home.command(command).output().unwrap();
        assert_eq!(finished.status.code(), Some(3), "{command:?}");
        assert_eq!(finished.stderr, b"error: not signed in\nhint: run: slipway login\n");
    }
    assert!(!home.path(".config").exists());
}

#[test]
fn a_sign_in_that_others_can_read_is_not_used() {
    for mode in [0o644, 0o640, 0o602] {
        let home = Home::new();
        sign_in(&home, SESSION, mode);
        let refused = home.run(["list"]);
        assert_eq!(refused.status(), 7);
        assert!(refused.stderr().contains("can be read by other users"), "{}", refused.stderr());
        assert!(refused.stderr().contains("hint: run: chmod 600 "), "{}", refused.stderr());
    }
}

#[test]
fn a_broken_sign_in_says_how_to_begin_anew_and_shows_none_of_it() {
    for content in ["", "{}", "{\"access_token\": \"secret-token\"", "[\"secret-token\"]"] {
        let home = Home::new();
        write(&home, SESSION, content, 0o600);
        let refused = home.run(["list"]);
        assert_eq!(refused.status(), 7);
        assert!(refused.stderr().contains("session.json is no session file"), "{}", refused.stderr());
        assert!(!refused.stderr().contains("secret-token"), "{}", refused.stderr());
    }
}

#[test]
fn the_sign_in_is_found_where_the_environment_or_an_option_puts_it() {
    let home = Home::new();
    sign_in(&home, "by-xdg/slipway/session.json", 0o600);
    sign_in(&home, "by-folder/session.json", 0o600);
    sign_in(&home, "by-option.json", 0o600);
    let xdg = home.command(["list"]).env("XDG_CONFIG_HOME", home.path("by-xdg")).output().unwrap();
    let folder = home.command(["list"]).env("SLIPWAY_CONFIG_DIR", home.path("by-folder")).output().unwrap();
    let option = home.command(["list", "--session", "by-option.json"]).output().unwrap();
    let relative = home.command(["list"]).env("XDG_CONFIG_HOME", "by-xdg").output().unwrap();
    // Unavailable is as far as one gets: signed in, and the platform is not there.
    let statuses = [xdg, folder, option, relative].map(|finished| finished.status.code().unwrap());
    assert_eq!(statuses, [6, 6, 6, 3]);
}

#[test]
fn a_token_in_the_environment_comes_before_the_sign_in_and_is_not_kept() {
    let home = Home::new();
    let mut list = home.command(["list"]);
    let finished =
        list.env("SLIPWAY_TOKEN", "slk_x").env("SLIPWAY_URL", "http://127.0.0.1:1").output().unwrap();
    let stderr = String::from_utf8(finished.stderr).unwrap();
    // As far as one gets: signed in, and the platform is not there.
    assert_eq!(finished.status.code(), Some(6), "{stderr}");
    assert!(!stderr.contains("slk_x"), "{stderr}");
    assert!(!home.path(".config").exists());
}

#[test]
fn a_platform_that_is_not_there_is_unavailable_and_leaves_no_sign_in() {
    let home = Home::new();
    let mut login = home.command(["login", "http://127.0.0.1:1", "--user", "ada@example.org"]);
    let finished = login.env("SLIPWAY_PASSWORD", "Secret-1!").output().unwrap();
    let stderr = String::from_utf8(finished.stderr).unwrap();
    assert_eq!(finished.status.code(), Some(6), "{stderr}");
    assert!(
        stderr.contains("cannot reach the server") && stderr.contains("hint: is the platform running"),
        "{stderr}"
    );
    assert!(!stderr.contains("Secret-1!"), "{stderr}");
    assert!(!home.path(SESSION).exists());
}

#[test]
fn certificate_authorities_are_needed_for_https_only() {
    let home = Home::new();
    let login = |url| {
        let mut login = home.command(["login", url, "--user", "ada"]);
        login.env("SLIPWAY_PASSWORD", "x").env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
        let finished = login.output().unwrap();
        (finished.status.code().unwrap(), String::from_utf8(finished.stderr).unwrap())
    };
    assert_eq!(login("http://127.0.0.1:1").0, 6);
    let (status, stderr) = login("https://127.0.0.1:1");
    assert!(status == 7 && stderr.contains("TLS cannot be set up"), "{status} {stderr}");
}

#[test]
fn a_url_that_is_none_is_a_usage_error() {
    let home = Home::new();
    for url in ["slipway.example.org", "ftp://host", "http://ada:secret@host"] {
        let refused = home.run(["login", url, "--user", "ada"]);
        assert_eq!(refused.status(), 2, "{}", refused.stderr());
    }
}

#[test]
fn signing_out_forgets_the_sign_in_though_the_platform_cannot_be_told() {
    let home = Home::new();
    sign_in(&home, SESSION, 0o600);
    let finished = home.run(["logout"]);
    assert_eq!(finished.status(), 6, "{}", finished.stderr());
    assert!(finished.stderr().contains("forgotten here"), "{}", finished.stderr());
    assert!(!home.path(SESSION).exists());
    assert_eq!(home.run(["logout"]).status(), 0);
}

#[test]
fn a_sign_in_past_its_end_is_no_sign_in() {
    let home = Home::new();
    let session = json!({
        "url": "http://127.0.0.1:1",
        "access_token": "a", "access_expires_at": "2020-01-01T00:00:00Z",
        "refresh_token": "r", "refresh_expires_at": "2020-01-01T00:00:00Z",
    });
    write(&home, SESSION, &session.to_string(), 0o600);
    let refused = home.run(["list"]);
    assert_eq!(refused.status(), 3);
    assert!(refused.stderr().contains("the sign-in has ended"), "{}", refused.stderr());
}
