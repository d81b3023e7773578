use std::collections::BTreeMap;
use std::path::Path;

/// The settings as they were given: names in upper case, values as text.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

/// Says why the settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file cannot be read.
    #[error("SLIPWAY_CONFIG: cannot read {path}: {cause}")]
    File {
        /// The file's path.
        path: String,
        /// What the operating system said.
        cause: std::io::Error,
    },
    /// The file is no TOML table of plain values.
    #[error("SLIPWAY_CONFIG: {path}: {fault}")]
    Content {
        /// The file's path.
        path: String,
        /// Where and what the fault is; never a value.
        fault: String,
    },
}

impl Settings {
    /// Reads the process's environment and the file that `SLIPWAY_CONFIG` names. A variable that is set but empty
    /// counts as not set.
    #[expect(clippy::disallowed_methods, reason = "this is the one home of the environment")]
    pub fn from_environment() -> Result<Self, Unreadable> {
        let environment = std::env::vars().filter(|(_, value)| !value.is_empty()).collect::<BTreeMap<_, _>>();
        let mut settings = match environment.get("SLIPWAY_CONFIG") {
            Some(path) => Self::from_file(Path::new(path))?,
            None => Self::default(),
        };
        settings.0.extend(environment);
        Ok(settings)
    }

    /// Takes settings from pairs, as tests and embedding programs do.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn from_file(path: &Path) -> Result<Self, Unreadable> {
        let shown = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|cause| Unreadable::File { path: shown.clone(), cause })?;
        let table = text.parse::<toml::Table>().map_err(|fault| Unreadable::Content {
            path: shown.clone(),
            fault: fault.message().to_owned(),
        })?;
        let plain = |(name, value): (String, toml::Value)| {
            let name = name.to_uppercase();
            match value {
                toml::Value::String(text) => Ok((name, text)),
                toml::Value::Integer(number) => Ok((name, number.to_string())),
                toml::Value::Float(number) => Ok((name, number.to_string())),
                toml::Value::Boolean(flag) => Ok((name, flag.to_string())),
                _ => Err(Unreadable::Content {
                    path: shown.clone(),
                    fault: format!("{name} must be a text, a number or true or false"),
                }),
            }
        };
        table.into_iter().map(plain).collect::<Result<BTreeMap<_, _>, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_plain_values_under_upper_case_names() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "auth_port = 8101\ndev_mode = true\nkeys_dir = \"/keys\"").unwrap();
        let settings = Settings::from_file(file.path()).unwrap();
        assert_eq!(settings.get("AUTH_PORT"), Some("8101"));
        assert_eq!(settings.get("DEV_MODE"), Some("true"));
        assert_eq!(settings.get("KEYS_DIR"), Some("/keys"));
    }

    #[test]
    fn a_table_in_the_file_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[auth]\nport = 8101").unwrap();
        let fault = Settings::from_file(file.path()).err().unwrap().to_string();
        assert!(fault.ends_with("AUTH must be a text, a number or true or false"), "{fault}");
    }
}
