use std::path::Path;

use serde_json::json;
use slipway_end_to_end::{Mode, Platform, Project, pack};

use crate::support::{call, client_of, delete, post_archive, token_of};

#[tokio::test]
async fn the_examples_do_their_work_with_packages_from_the_registries() {
    let platform = Platform::start(Mode::Standalone).await;
    let token = token_of(&platform, "ada").await;
    let ada = client_of(&platform, &token);
    let mut deployed = Vec::new();
    for name in ["readme-to-html", "csv-total"] {
        let (status, body) = post_archive(&platform, &token, name, pack(&Project::example(name)), None).await;
        assert_eq!(status, 201, "{body:#}");
        deployed.push(body["function"]["id"].as_str().unwrap().parse().unwrap());
    }
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let html = ada.invoke(deployed[0], &call(json!({"markdown": readme}))).await.unwrap().result;
    assert_eq!(html["title"], "Slipway");
    let headings = readme.lines().filter(|line| line.starts_with('#') && line.contains(' ')).count();
    assert_eq!(html["headings"], headings);
    assert!(html["html"].as_str().unwrap().starts_with("<h1>Slipway</h1>"));

    let csv = std::fs::read_to_string(Project::example("csv-total").join("populations.csv")).unwrap();
    let request = json!({"csv": csv, "column": "population", "label": "state"});
    let total = ada.invoke(deployed[1], &call(request)).await.unwrap().result;
    // As the census published it.
    assert_eq!(total, json!({"rows": 51, "total": 331_449_281, "largest": "California"}));
    delete(&ada, &deployed).await;
}
