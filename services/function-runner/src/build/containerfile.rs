use slipway_models::functions::Runtime;

use crate::project::Dependencies;

/// Writes the Containerfile of a project whose files lie in the context's `app`.
///
/// Dependencies are installed in a stage of their own, from an image that has the tools: neither these nor the host's
/// package indexes reach the image that runs. In that, everything belongs to root and the handler runs as another
/// user. `prefix` begins the names of the runtime images; `label` is an instruction at the top of each stage, which
/// Podman's cache of steps goes by.
pub(super) fn containerfile(
    prefix: &str,
    label: &str,
    runtime: Runtime,
    dependencies: Dependencies,
) -> String {
    let (install, installed) = match (runtime, dependencies) {
        (Runtime::Binary, _) | (_, Dependencies::None) => {
            return format!("FROM {prefix}{runtime}\n{label}\nCOPY --chown=0:0 app/ /app/\n");
        }
        (Runtime::Python, _) => (
            "python3 -m pip install --no-warn-script-location --target /app/.deps -r requirements.txt",
            ".deps",
        ),
        (Runtime::Node, Dependencies::Locked) => ("npm ci --omit=dev", "node_modules"),
        (Runtime::Node, Dependencies::Listed) => ("npm install --omit=dev", "node_modules"),
    };
    format!(
        "FROM {prefix}{runtime}-build AS dependencies\n\
         {label}\n\
         COPY --chown=1000:1000 app/ /app/\n\
         RUN mkdir -p /app/{installed} && {install}\n\
         FROM {prefix}{runtime}\n\
         {label}\n\
         COPY --chown=0:0 app/ /app/\n\
         COPY --chown=0:0 --from=dependencies /app/{installed}/ /app/{installed}/\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_without_dependencies_is_only_copied() {
        assert_eq!(
            containerfile("localhost/slipway/", "LABEL a=b", Runtime::Node, Dependencies::None),
            "FROM localhost/slipway/node\nLABEL a=b\nCOPY --chown=0:0 app/ /app/\n"
        );
    }

    #[test]
    fn dependencies_are_installed_in_a_stage_of_their_own() {
        insta::assert_snapshot!(
            containerfile("localhost/slipway/", "LABEL a=b", Runtime::Python, Dependencies::Listed),
            @r"
        FROM localhost/slipway/python-build AS dependencies
        LABEL a=b
        COPY --chown=1000:1000 app/ /app/
        RUN mkdir -p /app/.deps && python3 -m pip install --no-warn-script-location --target /app/.deps -r requirements.txt
        FROM localhost/slipway/python
        LABEL a=b
        COPY --chown=0:0 app/ /app/
        COPY --chown=0:0 --from=dependencies /app/.deps/ /app/.deps/
        "
        );
        let node = |dependencies| containerfile("p/", "LABEL a=b", Runtime::Node, dependencies);
        assert!(node(Dependencies::Locked).contains("&& npm ci --omit=dev\nFROM p/node\n"));
        assert!(node(Dependencies::Listed).contains("&& npm install --omit=dev\nFROM p/node\n"));
    }
}
