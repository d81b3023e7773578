//! Takes a changed `gateway.toml` without a restart: on SIGHUP, and within a second or two of a change.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{RouteTable, Routes, RoutesFile, Services};
use crate::series::Families;
use crate::watch::Looks;

/// Keeps a table of routes like its file. A file that is at fault changes nothing.
pub(crate) struct Reload {
    file: RoutesFile,
    services: Services,
    families: Families,
    routes: Arc<Routes>,
}

impl Reload {
    /// Watches the file that `routes` were made of, as it was read for them.
    pub(crate) fn new(file: RoutesFile, services: Services, families: Families, routes: Arc<Routes>) -> Self {
        Self { file, services, families, routes }
    }

    /// Looks at the file again and again, until the stop.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        let mut looks = match Looks::new() {
            Ok(looks) => looks,
            Err(fault) => {
                tracing::error!(error = %fault, "SIGHUP cannot be heard: changed routes are not taken");
                return;
            }
        };
        while let Some(is_told) = stop.run_until_cancelled(looks.next()).await {
            self.look(is_told);
        }
    }

    fn look(&mut self, is_told: bool) {
        if is_told || self.file.has_changed() {
            self.take();
        }
    }

    fn take(&mut self) {
        let read = self.file.load();
        let path = self.file.path().display();
        match read {
            Ok(added) => {
                self.routes.replace(RouteTable::new(&self.services, &added, &self.families));
                tracing::info!(%path, routes = added.len(), "routes were taken anew");
            }
            Err(fault) => {
                tracing::error!(%path, error = %fault, "routes stay as they were: the file is at fault");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_after_the_first_reading_is_taken_and_what_is_at_fault_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.toml");
        let write = |prefix: &str| {
            let text =
                format!("[[route]]\nprefix = '{prefix}'\nservice = 'site'\nupstreams = ['http://a:1']");
            std::fs::write(&path, text).unwrap();
        };
        let families = Families::of_nobody();
        let services = Services::nowhere(&families);

        write("/first");
        let mut file = RoutesFile::new(path.clone());
        let routes = Arc::new(Routes::new(RouteTable::new(&services, &file.load().unwrap(), &families)));
        write("/after-that");
        let mut reload = Reload::new(file, services, families, Arc::clone(&routes));
        let has = |prefix: &str| routes.find(prefix).is_some();
        assert!(has("/first") && !has("/after-that"));

        reload.look(false);
        assert!(!has("/first") && has("/after-that"));
        write("/no/../path");
        reload.look(false);
        assert!(has("/after-that"));
        assert!(!reload.file.has_changed(), "it is not read again and again");
    }
}
