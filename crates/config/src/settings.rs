use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The settings as they were given: names in upper case, values as yet unread.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, OsString>);

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
    /// counts as not set. Variables that are none of ours may hold anything.
    pub fn from_environment() -> Result<Self, Unreadable> {
        Self::from_variables(std::env::vars_os())
    }

    fn from_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Unreadable> {
        let environment: BTreeMap<_, _> = variables
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect();
        let mut settings = match environment.get("SLIPWAY_CONFIG") {
            Some(path) => Self::from_file(Path::new(path))?,
            None => Self::default(),
        };
        settings.0.extend(environment);
        Ok(settings)
    }

    /// Takes settings from pairs, as tests and embedding programs do.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into().into())).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str)
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
                toml::Value::String(text) => Ok((name, text.into())),
                toml::Value::Integer(number) => Ok((name, number.to_string().into())),
                toml::Value::Float(number) => Ok((name, number.to_string().into())),
                toml::Value::Boolean(flag) => Ok((name, flag.to_string().into())),
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
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_file_gives_plain_values_under_upper_case_names() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "auth_port = 8101\ndev_mode = true\nkeys_dir = \"/keys\"").unwrap();
        let settings = Settings::from_file(file.path()).unwrap();
        for (name, value) in [("AUTH_PORT", "8101"), ("DEV_MODE", "true"), ("KEYS_DIR", "/keys")] {
            assert_eq!(settings.get(name), Some(OsStr::new(value)));
        }
    }

    #[test]
    fn a_variable_that_is_no_text_is_refused_only_where_it_is_a_setting() {
        let broken = OsString::from_vec(vec![b'/', 0xff]);
        let variables = [(OsString::from("LS_COLORS"), broken.clone()), (OsString::from("KEYS_DIR"), broken)];
        let settings = Settings::from_variables(variables.into_iter()).ok().unwrap();
        let mut reader = crate::Reader::new(&settings);
        let _ = reader.required("KEYS_DIR");
        assert_eq!(reader.finish().unwrap_err().to_string(), "KEYS_DIR is not UTF-8 text");
    }

    #[test]
    fn a_table_in_the_file_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[auth]\nport = 8101").unwrap();
        let fault = Settings::from_file(file.path()).err().unwrap().to_string();
        assert!(fault.ends_with("AUTH must be a text, a number or true or false"), "{fault}");
    }
}
