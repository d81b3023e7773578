//! Which routes there are: what the services' tables of URLs say, in their own words. Each service has one, `routes.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Stands for every method.
pub(crate) const ANY: &str = "ANY";

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "head"];
/// How a table begins the entry of a path.
const ENTRIES: [&str; 2] = ["resource(\"", "page(\""];
/// Ways to register a route that this does not read: no table may use them.
const OTHER_WAYS: [&str; 5] = ["scope(", ".route(\"", "#[get(", "#[post(", "#[route("];

/// Lists the method and the shape of the path of every route of every service.
pub(crate) fn routes() -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for file in source_files(&services()) {
        let source = std::fs::read_to_string(&file).unwrap();
        if file.ends_with("src/routes.rs") {
            let found =
                if file.ends_with("gateway/src/routes.rs") { own_pages(&source) } else { read(&source) };
            assert!(!found.is_empty(), "{} has no routes that can be read", file.display());
            routes.extend(found);
        } else {
            let has_routes = ENTRIES.iter().chain(&OTHER_WAYS).any(|way| source.contains(way));
            assert!(!has_routes, "{} registers routes: routes.rs is the only table of URLs", file.display());
        }
    }
    routes
}

/// Writes a path without the names of its parameters, which differ.
pub(crate) fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// Lists the prefixes that the gateway passes on.
pub(crate) fn gateway_prefixes() -> Vec<String> {
    let source = std::fs::read_to_string(services().join("gateway/src/routes.rs")).unwrap();
    let prefixes: Vec<String> = paths_in(&source, "\nfn own_routes(").map(str::to_owned).collect();
    assert!(prefixes.contains(&"/api/v1/auth".to_owned()), "{prefixes:?}");
    prefixes
}

/// Lists what the gateway answers itself.
fn own_pages(source: &str) -> BTreeSet<(String, String)> {
    paths_in(source, "\npub(crate) fn own_page(").map(|path| ("GET".to_owned(), shape(path))).collect()
}

/// Lists the paths that a function names.
fn paths_in<'a>(source: &'a str, function: &str) -> impl Iterator<Item = &'a str> {
    let (_, table) = source.split_once(function).unwrap();
    let (table, _) = table.split_once("\n}\n").unwrap();
    table.split('"').skip(1).step_by(2).filter(|text| text.starts_with('/'))
}

/// Reads a table of URLs.
fn read(source: &str) -> BTreeSet<(String, String)> {
    let (source, _tests) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    for way in OTHER_WAYS {
        assert!(!source.contains(way), "a table of URLs says {way}, which is not read here");
    }
    let starts = ENTRIES.iter().flat_map(|entry| source.match_indices(entry));
    let mut starts: Vec<usize> = starts.map(|(start, entry)| start + entry.len()).collect();
    starts.sort_unstable();
    let mut routes = BTreeSet::new();
    for (index, start) in starts.iter().enumerate() {
        let entry = &source[*start..starts.get(index + 1).copied().unwrap_or(source.len())];
        let (path, ways) = entry.split_once('"').unwrap();
        let ways: String = ways.split_whitespace().collect();
        let methods = METHODS.iter().filter(|method| ways.contains(&format!(".route({method}().to(")));
        let mut methods: Vec<String> = methods.map(|method| method.to_uppercase()).collect();
        assert_eq!(methods.len(), ways.matches(".route(").count(), "{path} has a route that is not read");
        if methods.is_empty() {
            assert!(ways.contains(".default_service(to("), "{path} has no route that can be read");
            methods.push(ANY.to_owned());
        }
        routes.extend(methods.into_iter().map(|method| (method, shape(path))));
    }
    routes
}

fn services() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../services")
}

/// Lists the sources of all services, without their tests.
fn source_files(services: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(services).unwrap().map(|service| service.unwrap().path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn a_table_of_urls_is_read_whole() {
    let source = r#"
        app.service(resource("/a").route(get().to(handlers::a)).route(post().to(handlers::b)))
            .service(
                resource("/b/{id}")
                    .app_data(BodyLimit(1))
                    .route(delete().to(handlers::c)),
            )
            .service(resource("/f/{tail:.*}").default_service(to(handlers::d)));
    "#;
    let expected = [("GET", "/a"), ("POST", "/a"), ("DELETE", "/b/{}"), (ANY, "/f/{}")];
    let expected = expected.map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(read(source), BTreeSet::from(expected));
}

#[test]
#[should_panic(expected = "has a route that is not read")]
fn a_route_in_other_words_is_not_passed_over() {
    read(r#"app.service(resource("/a").route(get().to(a)).route(method(Method::TRACE).to(b)))"#);
}
