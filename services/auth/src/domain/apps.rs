use slipway_models::groups::App;

/// Which apps are stated for a person or a group: `None` states nothing, an empty list that there are none.
pub(crate) type StatedApps = Option<Vec<App>>;

/// Tells which apps somebody may use (ADR 22): those stated for them; else those of any of their groups that state some;
/// else all. In the order of [`App::ALL`].
pub(crate) fn effective_apps(own: StatedApps, of_groups: impl IntoIterator<Item = Vec<App>>) -> Vec<App> {
    let of_groups: Vec<Vec<App>> = of_groups.into_iter().collect();
    let stated = own.or_else(|| (!of_groups.is_empty()).then(|| of_groups.concat()));
    stated.map_or_else(|| App::ALL.to_vec(), in_order)
}

/// Puts apps in the order of [`App::ALL`], each once.
pub(crate) fn in_order(mut apps: Vec<App>) -> Vec<App> {
    apps.sort_unstable();
    apps.dedup();
    apps
}

/// Writes the apps that are stated by their names, as the database and the audit log keep them.
pub(crate) fn app_names(apps: &StatedApps) -> Option<Vec<&'static str>> {
    apps.as_deref().map(|apps| apps.iter().map(|app| app.as_str()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stated_for_a_person_counts_then_what_groups_state_then_all() {
        let (functions, vault, tasks) = (App::Functions, App::Vault, App::Tasks);
        assert_eq!(effective_apps(None, []), App::ALL);
        assert_eq!(effective_apps(None, [vec![]]), [], "one that states none is one that states some");
        assert_eq!(effective_apps(None, [vec![vault], vec![functions, vault]]), [functions, vault]);
        assert_eq!(effective_apps(Some(vec![tasks]), [vec![vault]]), [tasks]);
        assert_eq!(effective_apps(Some(vec![]), [vec![vault]]), []);
        assert_eq!(in_order(vec![tasks, functions, tasks]), [functions, tasks]);
    }
}
