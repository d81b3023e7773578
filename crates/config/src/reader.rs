use std::fmt::{self, Display};
use std::ops::RangeBounds;
use std::str::FromStr;

use crate::{Secret, Settings};

/// Reads settings one by one and keeps every fault until [`Reader::finish`].
///
/// A read that fails returns a stand-in, so that the reads after it can be checked too; [`Reader::finish`] then
/// refuses the whole.
pub struct Reader<'a> {
    settings: &'a Settings,
    faults: Vec<String>,
}

/// Every fault of the settings, a line each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<String>);

impl Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl<'a> Reader<'a> {
    /// Starts to read `settings`.
    pub fn new(settings: &'a Settings) -> Self {
        Self { settings, faults: Vec::new() }
    }

    /// Reads a setting, or takes `default` where it is not set.
    pub fn or<T: FromStr<Err: Display>>(&mut self, name: &str, default: T) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// Reads a setting that may be absent.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(value) => Some(value),
            Err(fault) => {
                self.refuse(name, format_args!("cannot be read: {fault}"));
                None
            }
        }
    }

    /// Reads a list whose entries are separated by commas, with or without spaces; it may be absent, or empty.
    pub fn list<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<Vec<T>> {
        let entries = self.text(name)?.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        match entries.map(str::parse).collect() {
            Ok(list) => Some(list),
            Err(fault) => {
                self.refuse(name, format_args!("cannot be read: {fault}"));
                None
            }
        }
    }

    /// Reads a setting that must be there. Its stand-in, where it is not, is an empty text.
    pub fn required(&mut self, name: &str) -> String {
        if self.settings.get(name).is_none() {
            self.refuse(name, "is not set");
        }
        self.text(name).unwrap_or_default().to_owned()
    }

    /// Reads a secret that must be there.
    pub fn required_secret(&mut self, name: &str) -> Secret {
        Secret::new(self.required(name))
    }

    /// Reads a number and checks its range.
    pub fn within<T>(&mut self, name: &str, default: T, range: impl RangeBounds<T> + fmt::Debug) -> T
    where
        T: FromStr<Err: Display> + PartialOrd,
    {
        let value = self.or(name, default);
        if !range.contains(&value) {
            self.refuse(name, format_args!("must lie in {range:?}"));
        }
        value
    }

    /// Adds a fault that the service found itself.
    pub fn refuse(&mut self, name: &str, fault: impl Display) {
        self.faults.push(format!("{name} {fault}"));
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        let text = self.settings.get(name)?.to_str();
        if text.is_none() {
            self.refuse(name, "is not UTF-8 text");
        }
        text
    }

    /// Ends the reading: refuses everything if one setting was at fault.
    pub fn finish(self) -> Result<(), Faults> {
        if self.faults.is_empty() { Ok(()) } else { Err(Faults(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_by_name_and_no_value_is_shown() {
        let settings = Settings::from_pairs([("AUTH_PORT", "hunter2"), ("POOL_SIZE", "0")]);
        let mut reader = Reader::new(&settings);
        let _: u16 = reader.or("AUTH_PORT", 8101);
        let _: u32 = reader.within("POOL_SIZE", 8, 1..=100);
        let _ = reader.required("AUTH_DATABASE_URL");
        let faults = reader.finish().unwrap_err().to_string();
        assert_eq!(
            faults,
            "AUTH_PORT cannot be read: invalid digit found in string\n\
             POOL_SIZE must lie in 1..=100\n\
             AUTH_DATABASE_URL is not set"
        );
    }

    #[test]
    fn a_list_is_separated_by_commas_and_may_be_empty() {
        let settings = Settings::from_pairs([("PORTS", "80, 443,"), ("NONE", ""), ("BAD", "80,x")]);
        let mut reader = Reader::new(&settings);
        assert_eq!(reader.list::<u16>("PORTS"), Some(vec![80, 443]));
        assert_eq!(reader.list::<u16>("NONE"), Some(vec![]));
        assert_eq!(reader.list::<u16>("ABSENT"), None);
        assert_eq!(reader.list::<u16>("BAD"), None);
        assert_eq!(
            reader.finish().unwrap_err().to_string(),
            "BAD cannot be read: invalid digit found in string"
        );
    }

    #[test]
    fn defaults_stand_where_nothing_is_set() {
        let settings = Settings::default();
        let mut reader = Reader::new(&settings);
        assert_eq!(reader.or("AUTH_PORT", 8101_u16), 8101);
        assert_eq!(reader.optional::<u16>("OTHER"), None);
        assert_eq!(reader.finish(), Ok(()));
    }
}
